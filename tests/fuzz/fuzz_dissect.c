// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * One frame: the parser and the model after Linux's flow dissector find the same flow in it,
 * and read no byte beyond its end. A flow has a hash.
 */
#include <stdint.h>
#include <stdlib.h>

#define DISSECT_CHECK(cond)      \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#include "../bpf/check_dissect.h"
#include "engine/engine.h"

/* The model counts in 32 bits; a frame is never that long. */
#define LEN_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Keys of zeros are keys, too. */
	static const struct engine siphash, toeplitz = { .toeplitz = true };
	bool flow;
	struct flow_key k;

	if (size > LEN_MAX)
		return -1;
	check_dissect(data, (uint32_t)size);
	flow = dissect_key(data, size, &k);
	DISSECT_CHECK(flow == (dissect_hash(&siphash, data, size) != 0));
	DISSECT_CHECK(flow == (dissect_hash(&toeplitz, data, size) != 0));
	return 0;
}
