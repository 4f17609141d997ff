// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Taps: what each stage sees, rings that are full or whose reader lies, taps that come and go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/eventfd.h>

#include "engine/tap_ring.h"

#include "rig.h"
#include "shared.h"

#define PORT 5000

/* A tap of one ring, and its reader. */
struct reader {
	struct tap_ring tr;
	struct sluice_lane_head *head;
	struct sluice_lane_ctl *ctl;
	uint64_t pos;
};

static struct reader *reader_new(enum tap_stage stage, uint32_t snaplen)
{
	struct reader *r = calloc(1, sizeof(*r));

	r->head = calloc(1, SLUICE_LANE_HEAD + SLUICE_LANE_MIN);
	r->ctl = aligned_alloc(128, sizeof(*r->ctl));
	memset(r->ctl, 0, sizeof(*r->ctl));
	/* It must not matter. */
	r->ctl->armed = 1;
	assert_int_equal(tap_ring_init(&r->tr, stage, snaplen, 1), 0);
	assert_int_equal(tap_ring_add(&r->tr, r->head, r->ctl, SLUICE_LANE_MIN), 0);
	assert_int_equal(tap_ring_add(&r->tr, r->head, r->ctl, SLUICE_LANE_MIN), -ENOSPC);
	return r;
}

static struct reader *reader_open(struct engine *engine, enum tap_stage stage, uint32_t snaplen)
{
	struct reader *r = reader_new(stage, snaplen);

	assert_int_equal(tap_add(&engine->taps, &r->tr.tap), 0);
	return r;
}

static void reader_free(struct reader *r)
{
	tap_ring_destroy(&r->tr);
	free(r->head);
	free(r->ctl);
	free(r);
}

static void reader_close(struct engine *engine, struct reader *r)
{
	assert_int_equal(tap_del(&engine->taps, &r->tr.tap), 0);
	reader_free(r);
}

static const struct sluice_tap_rec *reader_next(struct reader *r)
{
	const uint8_t *ring = (const uint8_t *)r->head + SLUICE_LANE_HEAD;
	uint64_t producer = __atomic_load_n(&r->head->producer, __ATOMIC_ACQUIRE);

	while (r->pos != producer) {
		const struct sluice_tap_rec *rec =
			(const void *)(ring + (r->pos & (SLUICE_LANE_MIN - 1)));

		r->pos += SLUICE_REC_SPACE(rec->len);
		if (rec->kind == SLUICE_REC_FRAME)
			return rec;
		assert_int_equal(rec->kind, SLUICE_REC_SKIP);
	}
	return NULL;
}

static void reader_release(struct reader *r)
{
	__atomic_store_n(&r->ctl->consumer, r->pos, __ATOMIC_RELEASE);
}

static void expect_frame(struct reader *r, const struct frame *f, uint32_t len, uint32_t ifindex)
{
	const struct sluice_tap_rec *rec = reader_next(r);

	assert_non_null(rec);
	assert_int_equal(rec->wire_len, len);
	assert_int_equal(rec->len, len < r->tr.snaplen ? len : r->tr.snaplen);
	assert_memory_equal(rec + 1, f->b, rec->len);
	assert_int_equal(rec->ifindex, ifindex);
	assert_true(rec->tstamp > 1600000000000000000);
	reader_release(r);
}

static struct frame frame_len(size_t len)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", PORT);
	uint8_t payload[2000];

	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 7);
	return frame_udp(&e, payload, len);
}

static void run(struct rig *rig, const struct frame *f)
{
	rig_push(rig, 0, f);
	rig_run(rig);
}

static void test_stages(void **state)
{
	struct rig *rig = rig_open(1);
	struct reader *r[TAP_STAGES];
	struct frame good = frame_len(100), padded = frame_len(4), bad = frame_len(10);
	struct frame tagged = frame_len(30), runt = frame_len(10), other = frame_len(9);

	(void)state;
	rig_sock_any(rig, PORT, false);
	rig->vlan_dev[5] = 55;
	for (int i = 0; i < TAP_STAGES; i++)
		r[i] = reader_open(rig->engine, (enum tap_stage)i, SLUICE_TAP_SNAP);
	bad.b[bad.l4 + 8]++;
	runt.len = 13;
	put16(other.b + 12, 0x0806);
	frame_tag(&tagged, 0x8100, 5);
	padded.len = 60;
	run(rig, &good);
	run(rig, &padded);
	run(rig, &bad);
	run(rig, &tagged);
	run(rig, &runt);
	run(rig, &other);
	for (int i = TAP_RX; i <= TAP_GRO; i++) {
		expect_frame(r[i], &good, good.len, RIG_IFINDEX);
		expect_frame(r[i], &padded, 60, RIG_IFINDEX);
		expect_frame(r[i], &bad, bad.len, RIG_IFINDEX);
		expect_frame(r[i], &tagged, tagged.len, RIG_IFINDEX);
		expect_frame(r[i], &runt, 13, RIG_IFINDEX);
		expect_frame(r[i], &other, other.len, RIG_IFINDEX);
		assert_null(reader_next(r[i]));
	}
	expect_frame(r[TAP_L4], &good, good.len, RIG_IFINDEX);
	expect_frame(r[TAP_L4], &padded, 14 + 28 + 4, RIG_IFINDEX);
	expect_frame(r[TAP_L4], &tagged, tagged.len, 55);
	assert_null(reader_next(r[TAP_L4]));
	for (int i = 0; i < TAP_STAGES; i++)
		reader_close(rig->engine, r[i]);
	run(rig, &good);
	rig_close(rig);
}

/* Behind GRO, one frame with the payloads of all; its headers are the merged one's. */
static void test_merged(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_add(rig, SLUICE_LANE_DEFAULT);
	struct udp_entry entry = { .sk = &s->sk };
	struct reader *r[TAP_STAGES], *cut;
	const struct sluice_tap_rec *rec;
	struct frame f = frame_len(100);

	(void)state;
	s->sk.gro = true;
	rig->engine->gro_max_size = GRO_MAX_SIZE;
	rig_table_set(rig, PORT, &entry, 1);
	for (int i = 0; i < TAP_STAGES; i++)
		r[i] = reader_open(rig->engine, (enum tap_stage)i, SLUICE_TAP_SNAP);
	cut = reader_open(rig->engine, TAP_GRO, 200);
	for (uint32_t i = 0; i < 5; i++)
		rig_push_hash(rig, 0, &f, 1, i + 1);
	rig_run(rig);
	for (int i = 0; i < 5; i++)
		expect_frame(r[TAP_RX], &f, f.len, RIG_IFINDEX);
	for (int i = TAP_GRO; i <= TAP_L4; i++) {
		const uint8_t *b;

		rec = reader_next(r[i]);
		assert_non_null(rec);
		assert_int_equal(rec->wire_len, 42 + 500);
		assert_int_equal(rec->len, 42 + 500);
		assert_int_equal(rec->gso_size, 100);
		b = (const uint8_t *)(rec + 1);
		assert_int_equal(get16(b + 16), 28 + 500);
		for (int n = 0; n < 5; n++)
			assert_memory_equal(b + 42 + 100 * n, f.b + 42, 100);
		assert_null(reader_next(r[i]));
	}
	rec = reader_next(cut);
	assert_int_equal(rec->wire_len, 42 + 500);
	assert_int_equal(rec->len, 200);
	assert_memory_equal((const uint8_t *)(rec + 1) + 142, f.b + 42, 58);
	/* Nor is more written than was asked for. */
	for (int i = 0; i < 2000; i++)
		assert_int_equal(((const uint8_t *)(rec + 1))[200 + i], 0);
	for (int i = 0; i < TAP_STAGES; i++)
		reader_close(rig->engine, r[i]);
	reader_close(rig->engine, cut);
	rig_close(rig);
}

static void test_snap_and_several(void **state)
{
	static const uint32_t snap[] = { 1, 64, 96, 1500 };
	struct rig *rig = rig_open(1);
	struct reader *r[4], *no;

	(void)state;
	rig_sock_any(rig, PORT, false);
	for (int i = 0; i < 4; i++)
		r[i] = reader_open(rig->engine, TAP_RX, snap[i]);
	assert_int_equal(tap_add(&rig->engine->taps, &r[1]->tr.tap), -EEXIST);
	for (size_t len = 0; len < 1600; len += 53) {
		struct frame f = frame_len(len);

		run(rig, &f);
		for (int i = 0; i < 4; i++)
			expect_frame(r[i], &f, f.len, RIG_IFINDEX);
	}
	reader_close(rig->engine, r[1]);
	reader_close(rig->engine, r[3]);
	for (int i = 0; i < 4; i += 2) {
		struct frame f = frame_len(7);

		run(rig, &f);
		expect_frame(r[i], &f, f.len, RIG_IFINDEX);
		reader_close(rig->engine, r[i]);
	}
	no = reader_new(TAP_RX, 1);
	assert_int_equal(tap_del(&rig->engine->taps, &no->tr.tap), -ENOENT);
	tap_ring_destroy(&no->tr);
	assert_int_equal(tap_ring_init(&no->tr, TAP_STAGES, 1, 1), -EINVAL);
	assert_int_equal(tap_ring_init(&no->tr, TAP_RX, 0, 1), -EINVAL);
	assert_int_equal(tap_ring_init(&no->tr, TAP_RX, SLUICE_TAP_SNAP + 1, 1), -EINVAL);
	reader_free(no);
	rig_close(rig);
}

/* A reader that does not read loses its own copies, exactly counted, and nobody else's. */
static void test_full(void **state)
{
	struct rig *rig = rig_open(1);
	struct rig_sock *s = rig_sock_any(rig, PORT, false);
	struct reader *slow = reader_open(rig->engine, TAP_GRO, SLUICE_TAP_SNAP);
	struct reader *fast = reader_open(rig->engine, TAP_GRO, SLUICE_TAP_SNAP);
	struct frame f = frame_len(100);
	uint32_t room = SLUICE_LANE_MIN / SLUICE_REC_SPACE(f.len);
	uint64_t copied, lost;

	(void)state;
	for (uint32_t i = 0; i < room + 500; i++) {
		assert_int_equal(rig_expect_rec(rig, s, &f)->len, 100);
		expect_frame(fast, &f, f.len, RIG_IFINDEX);
	}
	tap_ring_stat(&slow->tr, &copied, &lost);
	assert_int_equal(copied, room);
	assert_int_equal(lost, 500);
	assert_int_equal(slow->head->drops, 500);
	assert_int_equal(slow->head->delivered, room);
	for (uint32_t i = 0; i < room; i++)
		expect_frame(slow, &f, f.len, RIG_IFINDEX);
	assert_null(reader_next(slow));
	run(rig, &f);
	expect_frame(slow, &f, f.len, RIG_IFINDEX);
	tap_ring_stat(&fast->tr, &copied, &lost);
	assert_int_equal(copied, room + 501);
	assert_int_equal(lost, 0);
	reader_close(rig->engine, slow);
	reader_close(rig->engine, fast);
	rig_close(rig);
}

static void test_liar(void **state)
{
	static const uint64_t lies[] = { 64, 1, UINT64_MAX - 63, SLUICE_LANE_MIN };
	struct frame f = frame_len(100);

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct rig *rig = rig_open(1);
		struct rig_sock *s = rig_sock_any(rig, PORT, false);
		struct reader *liar = reader_open(rig->engine, TAP_RX, SLUICE_TAP_SNAP);
		struct reader *good = reader_open(rig->engine, TAP_RX, SLUICE_TAP_SNAP);
		uint64_t reports;

		rig->engine->broken_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		liar->ctl->consumer = lies[i];
		for (int n = 0; n < 3000; n++) {
			assert_non_null(rig_expect_rec(rig, s, &f));
			expect_frame(good, &f, f.len, RIG_IFINDEX);
			if (lies[i] == 64 && n == 0)
				liar->ctl->consumer = 64 * 1000;
		}
		assert_true(liar->tr.broken);
		assert_false(good->tr.broken);
		assert_int_equal(read(rig->engine->broken_fd, &reports, sizeof(reports)), 8);
		assert_int_equal(reports, 1);
		close(rig->engine->broken_fd);
		rig->engine->broken_fd = -1;
		reader_close(rig->engine, liar);
		reader_close(rig->engine, good);
		rig_close(rig);
	}
}

/* Taps come and go while the worker runs; each sees a stretch of the packets without a gap. */
static void test_under_traffic(void **state)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct shared_source source;
	struct worker worker;
	uint32_t pushed = 0;

	(void)state;
	engine->broken_fd = -1;
	shared_open(&source);
	assert_int_equal(worker_init(&worker, engine, 0, some_cpu(), 1), 0);
	assert_int_equal(worker_add_napi(&worker, &source.src, 0), 0);
	assert_int_equal(worker_start(&worker), 0);
	for (int round = 0; round < 50; round++) {
		struct reader *a = reader_open(engine, TAP_RX, SLUICE_TAP_SNAP);
		struct reader *b = reader_open(engine, TAP_GRO, 96);
		const struct sluice_tap_rec *rec;
		uint32_t first = pushed, next = first, number;

		for (int i = 0; i < 40; i++) {
			struct frame f = frame_len(4);

			memcpy(f.b + f.l4 + 8, &pushed, sizeof(pushed));
			pushed += shared_push(&source, &f) == 0;
		}
		for (int ms = 0; next != pushed; ms++) {
			assert_true(ms < 5000);
			while ((rec = reader_next(a))) {
				memcpy(&number, (const uint8_t *)(rec + 1) + 42, sizeof(number));
				assert_int_equal(number, next++);
			}
			usleep(100);
		}
		reader_close(engine, a);
		/* Without a worker that sees it, its copies are complete. */
		assert_int_equal(tap_del(&engine->taps, &b->tr.tap), 0);
		for (next = first; (rec = reader_next(b)); next++) {
			memcpy(&number, (const uint8_t *)(rec + 1) + 42, sizeof(number));
			assert_int_equal(number, next);
		}
		assert_int_equal(next, pushed);
		reader_free(b);
	}
	worker_stop(&worker);
	worker_destroy(&worker);
	shared_close(&source);
	free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_snap_and_several),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_liar),
		cmocka_unit_test(test_under_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
