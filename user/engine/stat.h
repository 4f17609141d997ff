/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * stat.h - counters with one writer and any number of readers. The writer owns
 * the counter; readers see whole, perhaps slightly old values.
 */
#ifndef SLUICE_ENGINE_STAT_H
#define SLUICE_ENGINE_STAT_H

#include <stdint.h>

static inline void stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t stat_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
