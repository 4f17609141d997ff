/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* print.h - a frame in one line, as tcpdump -n shows it. */
#ifndef SLUICE_CLI_PRINT_H
#define SLUICE_CLI_PRINT_H

#include <stddef.h>
#include <stdint.h>

/* frame: kept bytes of a frame that had wire_len. Whatever they are, text ends up with a line. */
void print_frame(char *text, size_t len, const uint8_t *frame, uint32_t kept, uint32_t wire_len);

#endif
