/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * counter.h - which counters of the map rule_count belong to rules. A freed one
 * is given out again last, so that a packet that met its rule in the moment it
 * went is not counted for another. Control thread only.
 */
#ifndef SLUICE_ENGINE_COUNTER_H
#define SLUICE_ENGINE_COUNTER_H

#include <stdint.h>

#include <sluice/steer.h>

struct counters {
	uint64_t used[SLUICE_RULE_COUNTERS / 64];
	uint32_t next;
};

/* The first of n counters in a row; 0, which counts for nobody: none is left. */
uint32_t counter_alloc(struct counters *c, uint32_t n);
/* As allocated. first 0 is allowed. */
void counter_free(struct counters *c, uint32_t first, uint32_t n);

#endif
