/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* mask.h - CPU masks as Linux reads them in rps_cpus (bitmap_parse). */
#ifndef SLUICE_CLI_MASK_H
#define SLUICE_CLI_MASK_H

#include <stdint.h>

/*
 * Hexadecimal, the highest first, in chunks of at most 8 digits with commas between:
 * "3", "ff,00000000". Sets words 0 .. nr / 64 - 1 of mask; nr is a multiple of 64.
 * -EINVAL: another character, or no digit; -EOVERFLOW: a chunk of more than 8 digits, or a
 * bit >= nr. mask is written only on success.
 */
int mask_parse(const char *text, uint64_t *mask, uint32_t nr);

#endif
