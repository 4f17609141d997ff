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
	struct engine *engine;
	struct flow_key k;
	uint32_t hash;

	if (size > LEN_MAX)
		return -1;
	check_dissect(data, (uint32_t)size);
	/* Large, and only its keys are looked at. */
	engine = malloc(sizeof(*engine));
	memset(engine->hash_key, 5, sizeof(engine->hash_key));
	memset(engine->rss_table, 5, sizeof(engine->rss_table));
	for (int toeplitz = 0; toeplitz < 2; toeplitz++) {
		engine->toeplitz = toeplitz != 0;
		hash = dissect_hash(engine, data, size);
		DISSECT_CHECK(dissect_key(data, size, &k) == (hash != 0));
	}
	free(engine);
	return 0;
}
