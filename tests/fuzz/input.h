/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* input.h - a fuzzer's input, read from the front; behind its end there are zeroes. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t take8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/* Up to len bytes; how many. */
static inline size_t take(struct input *in, void *out, size_t len)
{
	len = len < in->left ? len : in->left;
	if (len)
		memcpy(out, in->p, len);
	in->p += len;
	in->left -= len;
	return len;
}

#endif
