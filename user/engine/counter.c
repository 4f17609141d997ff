// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "engine/counter.h"

static uint32_t free_from(const struct counters *c, uint32_t first, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && !(c->used[(first + i) / 64] >> (first + i) % 64 & 1))
		i++;
	return i;
}

uint32_t counter_alloc(struct counters *c, uint32_t n)
{
	uint32_t at = c->next, tried = 0;

	while (tried < SLUICE_RULE_COUNTERS) {
		uint32_t found;

		if (!at || at + n > SLUICE_RULE_COUNTERS) {
			tried += at ? SLUICE_RULE_COUNTERS - at : 1;
			at = 1;
		}
		found = free_from(c, at, n);
		if (found == n) {
			for (uint32_t i = at; i < at + n; i++)
				c->used[i / 64] |= 1ull << i % 64;
			c->next = at + n;
			return at;
		}
		at += found + 1;
		tried += found + 1;
	}
	return 0;
}

void counter_free(struct counters *c, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; first && i < first + n; i++)
		c->used[i / 64] &= ~(1ull << i % 64);
}
