/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * tap_hostile - taps that break the rules of sluice/control.h and sluice/lane.h, while
 * traffic comes. Each is refused, or ends, alone.
 *
 *	tap_hostile DEV
 */
#include <err.h>
#include <stdlib.h>
#include <time.h>

#include <sluice/tap.h>

#include "check.h"
#include "ctl.h"

#define GONE_MS 3000

struct tap {
	int sock, data, ctl;
	__u32 rings, ring_bytes;
	struct sluice_lane_ctl *slot;
	const uint8_t *rings_at;
};

static size_t rings_len(const struct tap *t)
{
	return t->rings * (SLUICE_LANE_HEAD + (size_t)t->ring_bytes);
}

/* Frames that its rings were meant for. */
static __u64 frames(const struct tap *t)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < t->rings; i++) {
		const struct sluice_lane_head *head = (const void *)
			(t->rings_at + i * (SLUICE_LANE_HEAD + (size_t)t->ring_bytes));

		sum += __atomic_load_n(&head->delivered, __ATOMIC_RELAXED) +
		       __atomic_load_n(&head->drops, __ATOMIC_RELAXED);
	}
	return sum;
}

/* 0; a positive errno as refused; -errno. */
static int request(int sock, __u32 stage, __u32 snaplen, __u32 ring, struct tap *t)
{
	struct sluice_ctl_msg m;
	int fds[2] = { -1, -1 }, r;

	ctl_init(&m, SLUICE_CTL_TAP);
	m.u.tap.stage = stage;
	m.u.tap.snaplen = snaplen;
	m.u.tap.ring_bytes = ring;
	r = ctl_send(sock, &m, sizeof(m), NULL, 0, 0);
	if (!r)
		r = ctl_recv(sock, &m, fds, 2, CTL_TIMEOUT);
	if (r < 0)
		return r;
	if (m.type == SLUICE_CTL_REFUSED)
		return m.u.refused.error;
	if (m.type != SLUICE_CTL_TAPPED || r != 2)
		return -EPROTO;
	*t = (struct tap){ .sock = sock, .data = fds[0], .ctl = fds[1],
			   .rings = m.u.tapped.rings, .ring_bytes = m.u.tapped.ring_bytes };
	t->slot = mmap(NULL, t->rings * sizeof(*t->slot), PROT_READ | PROT_WRITE, MAP_SHARED,
		       t->ctl, 0);
	t->rings_at = mmap(NULL, rings_len(t), PROT_READ, MAP_SHARED, t->data, 0);
	return t->slot == MAP_FAILED || t->rings_at == MAP_FAILED ? -errno : 0;
}

static int open_tap(const char *dev, struct tap *t)
{
	int sock = ctl_open(dev);

	return sock < 0 ? sock : request(sock, SLUICE_TAP_RX, 0, SLUICE_LANE_MIN, t);
}

static void close_tap(struct tap *t)
{
	munmap(t->slot, t->rings * sizeof(*t->slot));
	munmap((void *)(uintptr_t)t->rings_at, rings_len(t));
	close(t->data);
	close(t->ctl);
	close(t->sock);
}

static void check_refusals(struct checks *c, const char *dev)
{
	static const struct {
		const char *what;
		__u32 stage, snaplen, ring;
	} bad[] = {
		{ "no such stage", SLUICE_TAP_STAGES, 0, 0 },
		{ "stage 2^32 - 1", UINT32_MAX, 0, 0 },
		{ "a snap length too large", SLUICE_TAP_RX, SLUICE_TAP_SNAP + 1, 0 },
		{ "a ring of 100,000 bytes", SLUICE_TAP_RX, 0, 100000 },
		{ "a ring too small", SLUICE_TAP_RX, 0, SLUICE_LANE_MIN / 2 },
		{ "a ring too large", SLUICE_TAP_RX, 0, SLUICE_LANE_MAX * 2 },
	};
	struct tap t, second;
	int sock = ctl_open(dev);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(c, request(sock, bad[i].stage, bad[i].snaplen, bad[i].ring, &t) == EINVAL,
		      "%s is refused", bad[i].what);
	check_error(c, request(sock, SLUICE_TAP_RX, 0, SLUICE_LANE_MIN, &t), 0,
		    "the same connection asks for what there is");
	check(c, request(sock, SLUICE_TAP_GRO, 0, 0, &second) == EBUSY, "a second tap is refused");
	check(c, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t.data, 0) == MAP_FAILED,
	      "its data cannot be written");
	check(c, ftruncate(t.ctl, 0) < 0 && ftruncate(t.data, 0) < 0, "nor made shorter");
	close_tap(&t);
}

/* Writes `consumer` into each ring's slot; the daemon must end this tap, and no other. */
static void check_liar(struct checks *c, const char *dev, __u64 consumer, const char *what)
{
	struct sluice_ctl_msg m;
	struct tap good, liar;
	__u64 seen;

	if (!check_error(c, open_tap(dev, &good), 0, "a tap") ||
	    !check_error(c, open_tap(dev, &liar), 0, "another"))
		return;
	for (__u32 i = 0; i < liar.rings; i++) {
		liar.slot[i].armed = 1;
		liar.slot[i].consumer = consumer;
	}
	check(c, ctl_recv(liar.sock, &m, NULL, 0, GONE_MS) == -ECONNRESET,
	      "consumer %s: disconnected", what);
	seen = frames(&good);
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	check(c, frames(&good) > seen, "the other tap goes on");
	check(c, ctl_recv(good.sock, &m, NULL, 0, 0) == -ETIMEDOUT, "and is not spoken to");
	close_tap(&good);
	close_tap(&liar);
}

int main(int argc, char **argv)
{
	struct checks c = { 0 };

	if (argc != 2)
		errx(2, "usage: tap_hostile DEV");
	check_refusals(&c, argv[1]);
	check_liar(&c, argv[1], 1, "is odd");
	check_liar(&c, argv[1], UINT64_MAX - 63, "runs backwards");
	check_liar(&c, argv[1], 1ull << 40, "is ahead of the producer");
	return check_exit(&c);
}
