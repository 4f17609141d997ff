// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The source over memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "rig.h"

#define FRAMES 8
#define MAX 65600

static void test_init(void **state)
{
	struct mem_source mem;

	(void)state;
	assert_int_equal(mem_source_init(&mem, 0), -EINVAL);
	assert_int_equal(mem_source_init(&mem, 3), -EINVAL);
	assert_int_equal(mem_source_init_max(&mem, 4, 100), -EINVAL);
	assert_int_equal(mem_source_init_max(&mem, FRAMES, MAX), 0);
	mem_source_destroy(&mem);
}

/* What was pushed comes out, in order, each frame whole and with the room that is promised. */
static void test_order(void **state)
{
	struct rx_desc desc[FRAMES];
	uint64_t frame[FRAMES];
	struct mem_source mem;
	uint8_t *bytes = malloc(MAX);

	(void)state;
	assert_int_equal(mem_source_init_max(&mem, FRAMES, MAX), 0);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < FRAMES; i++) {
			memset(bytes, round * FRAMES + i, MAX);
			assert_int_equal(mem_source_push(&mem, bytes, MAX - (uint32_t)i, NULL), 0);
		}
		assert_int_equal(mem_source_push(&mem, bytes, 1, NULL), -ENOBUFS);
		assert_true(mem.src.ops->pending(&mem.src));
		assert_int_equal(mem.src.ops->peek(&mem.src, desc, 3), 3);
		assert_int_equal(mem.src.ops->peek(&mem.src, desc + 3, FRAMES), FRAMES - 3);
		assert_false(mem.src.ops->pending(&mem.src));
		for (int i = 0; i < FRAMES; i++) {
			memset(bytes, round * FRAMES + i, MAX);
			assert_int_equal(desc[i].len, MAX - i);
			assert_memory_equal(desc[i].data, bytes, desc[i].len);
			assert_true(desc[i].room >= sizeof(struct sluice_rx_meta));
			frame[i] = desc[i].frame;
		}
		mem.src.ops->recycle(&mem.src, frame, FRAMES);
	}
	assert_int_equal(mem_source_push(&mem, bytes, MAX + 1, NULL), -EMSGSIZE);
	mem_source_destroy(&mem);
	free(bytes);
}

static void test_fill_in_place(void **state)
{
	struct mem_source mem;
	struct rx_desc desc;
	uint32_t frame[2];
	uint8_t *data;

	(void)state;
	assert_int_equal(mem_source_init_max(&mem, 1, 64), 0);
	assert_int_equal(mem_source_get(&mem, &frame[0], &data), 0);
	assert_int_equal(mem_source_get(&mem, &frame[1], &data), -ENOBUFS);
	memset(data, 0x5a, 64);
	assert_false(mem.src.ops->pending(&mem.src));
	mem_source_add(&mem, frame[0], 64, SLUICE_DROPS);
	assert_int_equal(mem.src.ops->peek(&mem.src, &desc, 1), 1);
	assert_ptr_equal(desc.data, data);
	assert_int_equal(desc.len, 64);
	assert_int_equal(desc.frame, frame[0]);
	mem_source_destroy(&mem);
}

/* A packet that the source has not whole is counted, its bytes too, and not looked at. */
static void test_reason(void **state)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", 5000);
	struct frame f = frame_udp(&e, "payload", 7);
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, 5000, false);
	uint32_t frame;
	uint8_t *data;

	(void)state;
	assert_int_equal(mem_source_get(&rig->mem[0], &frame, &data), 0);
	memcpy(data, f.b, f.len);
	mem_source_add(&rig->mem[0], frame, f.len - 1, SLUICE_DROP_SNAPLEN);
	rig_run(rig);
	assert_int_equal(rig_drops(rig, SLUICE_DROP_SNAPLEN), 1);
	assert_int_equal(rig->worker.napi[0].stat.bytes, f.len - 1);
	assert_int_equal(rig->worker.stat.dropped, 1);
	rig_expect_rec(rig, s, &f);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_fill_in_place),
		cmocka_unit_test(test_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
