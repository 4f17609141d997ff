// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* mask.c - see mask.h. Read from the end, where the lowest CPU is. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cli/mask.h"

#define CHUNK_DIGITS 8

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* With mask NULL only checks. */
static int walk(const char *text, uint64_t *mask, uint32_t nr)
{
	uint32_t chunk = 0, digits = 0;
	bool any = false;

	for (size_t i = strlen(text); i--;) {
		uint32_t bit = chunk * 32 + digits * 4;
		int v = digit(text[i]);

		/* Like Linux, which does not mind several separators, or one at an end. */
		if (text[i] == ',') {
			chunk += digits > 0;
			digits = 0;
			continue;
		}
		if (v < 0)
			return -EINVAL;
		if (digits++ == CHUNK_DIGITS || (v && bit >= nr))
			return -EOVERFLOW;
		any = true;
		if (mask && v)
			mask[bit / 64] |= (uint64_t)v << bit % 64;
	}
	return any ? 0 : -EINVAL;
}

int mask_parse(const char *text, uint64_t *mask, uint32_t nr)
{
	int err = walk(text, NULL, nr);

	if (err)
		return err;
	memset(mask, 0, nr / 8);
	return walk(text, mask, nr);
}
