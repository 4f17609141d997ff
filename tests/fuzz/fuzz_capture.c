// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Capture files through the whole of `sluice replay`. Whatever they hold: it ends, each packet
 * that was read is in the books, they close, and where the file is damaged the error says so.
 *
 *   input:  stage to write, packets of a round, then the file
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/replayer.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

/* Of a round: more frames cost time to set up, and find nothing. */
#define POLL_MAX 8

static void check_books(const struct replayer *r, const struct capture *c)
{
	struct replayer_books books = replayer_books(r);
	uint64_t delivered = 0, dropped = 0;

	for (int i = 0; i < 65536; i++)
		delivered += books.port[i].packets;
	for (int i = 0; i < SLUICE_DROPS; i++)
		dropped += books.stat->drop[i];
	CHECK(books.stat->received == c->packets);
	CHECK(books.stat->delivered == delivered);
	CHECK(c->packets == delivered + dropped);
	CHECK(books.first <= books.last);
}

static void check_end(int rc, const struct capture *c)
{
	unsigned long long number;

	CHECK(rc <= 0 && rc == c->ended);
	if (rc)
		CHECK(sscanf(c->error, "packet %llu: ", &number) == 1 && number == c->packets + 1);
}

static void replay(struct capture *c, struct replayer_config *config)
{
	struct capture_out out;
	struct replayer *r;

	CHECK(capture_out_open(&out, "/dev/null", DLT_RAW) == 0);
	config->out = &out;
	CHECK(replayer_new(&r, config) == 0);
	check_end(replayer_run(r, c), c);
	check_books(r, c);
	replayer_free(r);
	CHECK(capture_out_close(&out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct replayer_config config = { 0 };
	struct capture c;
	FILE *file;

	if (size < 3)
		return 0;
	config.stage = data[0] % (REPLAYER_L4 + 1);
	config.poll = 1 + data[1] % POLL_MAX;
	file = fmemopen((void *)(uintptr_t)(data + 2), size - 2, "rb");
	CHECK(file);
	if (capture_open(&c, file)) {
		CHECK(c.error[0]);
		return 0;
	}
	replay(&c, &config);
	capture_close(&c);
	return 0;
}
