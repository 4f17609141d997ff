// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* The engine on captures: exact counts, what each stage writes, and always the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "captures.h"
#include "cli/replayer.h"

#define PACKETS 800		/* a multiple of the mixture's eight */
#define EIGHTH (PACKETS / 8)

/* A capture replayed, and what it left. */
struct run {
	int rc;
	uint64_t packets;
	struct napi_stat stat;
	struct replayer_port *port;
	uint64_t first, last;
	uint64_t merged, merged_into;
	uint8_t *written;
	size_t written_len;
};

static void read_all(const char *path, uint8_t **b, size_t *len)
{
	FILE *file = fopen(path, "rb");

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*len = (size_t)ftell(file);
	rewind(file);
	*b = malloc(*len + 1);
	assert_int_equal(fread(*b, 1, *len, file), *len);
	fclose(file);
}

static int link_of(const struct replayer_config *config, const struct capture *c)
{
	switch (config->stage) {
	case REPLAYER_RX:
		return c->link;
	case REPLAYER_GRO:
		return DLT_EN10MB;
	default:
		return DLT_RAW;
	}
}

static struct run replay(const struct file *f, struct replayer_config config, bool write)
{
	char path[] = "/tmp/sluice-replayer.XXXXXX";
	struct replayer_books books;
	struct capture_out out;
	struct replayer *r;
	struct capture c;
	struct run run;

	close(mkstemp(path));
	if (!config.poll)
		config.poll = NAPI_WEIGHT;
	assert_int_equal(capture_open(&c, fmemopen(f->b, f->len, "rb")), 0);
	if (write) {
		assert_int_equal(capture_out_open(&out, path, link_of(&config, &c)), 0);
		config.out = &out;
	}
	assert_int_equal(replayer_new(&r, &config), 0);
	run.rc = replayer_run(r, &c);
	books = replayer_books(r);
	run.packets = c.packets;
	run.stat = *books.stat;
	run.port = malloc(65536 * sizeof(*run.port));
	memcpy(run.port, books.port, 65536 * sizeof(*run.port));
	run.first = books.first;
	run.last = books.last;
	run.merged = books.merged;
	run.merged_into = books.merged_into;
	replayer_free(r);
	capture_close(&c);
	if (write)
		assert_int_equal(capture_out_close(&out), 0);
	read_all(path, &run.written, &run.written_len);
	unlink(path);
	return run;
}

static void run_free(struct run *run)
{
	free(run->port);
	free(run->written);
}

/* received = delivered, by port, + dropped. */
static void check_books(const struct run *run)
{
	uint64_t sum = 0, delivered = 0;

	for (int i = 0; i < SLUICE_DROPS; i++)
		sum += run->stat.drop[i];
	for (int i = 0; i < 65536; i++)
		delivered += run->port[i].packets;
	assert_int_equal(run->stat.received, run->packets);
	assert_int_equal(run->stat.delivered, delivered);
	assert_int_equal(run->stat.received, delivered + sum);
}

static void test_counts(void **state)
{
	static const uint32_t polls[] = { 1, 3, 63, 64, 65, 300, 321, REPLAYER_POLL_MAX };
	uint64_t bytes[4] = { 0 };
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_NANO, false, PACKETS, 65535);
	for (uint32_t i = 0; i < PACKETS; i++)
		if (i % 8 < 4 || i % 8 == 7)
			bytes[i % 4] += mix_payload(i);
	for (size_t i = 0; i < sizeof(polls) / sizeof(polls[0]); i++) {
		struct replayer_config config = { .poll = polls[i] };
		struct run run = replay(&f, config, false);

		check_books(&run);
		assert_int_equal(run.rc, 0);
		assert_int_equal(run.packets, PACKETS);
		assert_int_equal(run.stat.delivered, 6 * EIGHTH);
		assert_int_equal(run.stat.drop[SLUICE_DROP_ETH_PROTO], EIGHTH);
		assert_int_equal(run.stat.drop[SLUICE_DROP_UDP_CSUM], EIGHTH);
		for (int p = 0; p < 4; p++) {
			assert_int_equal(run.port[MIX_PORT4 + p].packets,
					 p == 3 ? 2 * EIGHTH : EIGHTH);
			assert_int_equal(run.port[MIX_PORT4 + p].bytes, bytes[p]);
		}
		assert_int_equal(run.port[MIX_PORT6].packets, EIGHTH);
		assert_int_equal(run.first, mix_time(0));
		assert_int_equal(run.last, mix_time(PACKETS - 1));
		run_free(&run);
	}
	file_free(&f);
}

static void test_local(void **state)
{
	struct sluice_addr addr[2] = { { { 0, 0, htonl(0xffff), 0 } } };
	struct addr_list local = { .nr = 1, .addr = addr };
	struct replayer_config config = { .local = &local };
	struct run run;
	struct file f;

	(void)state;
	inet_pton(AF_INET, MIX_LOCAL4, &addr[0].w[3]);
	inet_pton(AF_INET6, MIX_LOCAL6, &addr[1]);
	file_mix(&f, FORMAT_NANO, false, PACKETS, 65535);
	for (local.nr = 1; local.nr <= 2; local.nr++) {
		run = replay(&f, config, false);
		check_books(&run);
		assert_int_equal(run.stat.drop[SLUICE_DROP_NOT_LOCAL], (3 - local.nr) * EIGHTH);
		assert_int_equal(run.port[MIX_PORT6].packets, local.nr == 2 ? EIGHTH : 0);
		assert_int_equal(run.port[MIX_PORT4 + 3].packets, EIGHTH);
		run_free(&run);
	}
	file_free(&f);
}

static void test_ports(void **state)
{
	static const uint16_t port[] = { MIX_PORT4 + 1, MIX_PORT6 };
	struct replayer_config config = { .port = port, .nr_port = 2 };
	struct run run;
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_NANO, false, PACKETS, 65535);
	run = replay(&f, config, false);
	check_books(&run);
	assert_int_equal(run.port[MIX_PORT4 + 1].packets, EIGHTH);
	assert_int_equal(run.port[MIX_PORT6].packets, EIGHTH);
	assert_int_equal(run.stat.delivered, 2 * EIGHTH);
	assert_int_equal(run.stat.drop[SLUICE_DROP_NO_SOCKET], 4 * EIGHTH);
	run_free(&run);
	file_free(&f);
}

/* What the capture has only in part is dropped for this reason, whatever it is. */
static void test_snaplen(void **state)
{
	uint64_t cut = 0;
	struct run run;
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_PCAPNG, false, PACKETS, 200);
	for (uint32_t i = 0; i < PACKETS; i++)
		cut += mix_frame(i).len > 200;
	run = replay(&f, (struct replayer_config){ 0 }, false);
	check_books(&run);
	assert_true(cut > 0 && cut < PACKETS);
	assert_int_equal(run.stat.drop[SLUICE_DROP_SNAPLEN], cut);
	run_free(&run);
	file_free(&f);
}

/* As a file in ns and in the order of arrival: what stages rx and gro must write of the mixture. */
static void test_write_frames(void **state)
{
	struct run run;
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_NANO, false, PACKETS, 262144);
	for (enum replayer_stage stage = REPLAYER_RX; stage <= REPLAYER_GRO; stage++) {
		run = replay(&f, (struct replayer_config){ .stage = stage }, true);
		assert_int_equal(run.written_len, f.len);
		assert_memory_equal(run.written, f.b, f.len);
		run_free(&run);
	}
	file_free(&f);
}

/* The datagrams of the mixture as packets, at the time of the last packet of their round. */
static void expect_l4(struct file *want, uint32_t poll)
{
	file_begin(want, FORMAT_NANO, false, LINK_RAW, 262144);
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct frame frame = mix_frame(i);
		uint32_t last = i / poll * poll + poll - 1;

		if (i % 8 == 5 || i % 8 == 6)
			continue;
		file_add(want, mix_time(last < PACKETS ? last : PACKETS - 1), frame.b + frame.l3,
			 frame.len - frame.l3, frame.len - frame.l3);
	}
}

static void test_write_datagrams(void **state)
{
	static const uint32_t polls[] = { 1, 7, 64, 500 };
	struct file f, want;
	struct run run;

	(void)state;
	file_mix(&f, FORMAT_NANO, false, PACKETS, 262144);
	for (size_t i = 0; i < sizeof(polls) / sizeof(polls[0]); i++) {
		expect_l4(&want, polls[i]);
		run = replay(&f, (struct replayer_config){ .poll = polls[i], .stage = REPLAYER_L4 },
			     true);
		assert_int_equal(run.written_len, want.len);
		assert_memory_equal(run.written, want.b, want.len);
		run_free(&run);
		file_free(&want);
	}
	file_free(&f);
}

static void test_same_again(void **state)
{
	struct run a, b;
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_MICRO, true, PACKETS, 300);
	for (enum replayer_stage stage = REPLAYER_RX; stage <= REPLAYER_L4; stage++) {
		a = replay(&f, (struct replayer_config){ .stage = stage }, true);
		b = replay(&f, (struct replayer_config){ .stage = stage }, true);
		assert_memory_equal(&a.stat, &b.stat, sizeof(a.stat));
		assert_memory_equal(a.port, b.port, 65536 * sizeof(*a.port));
		assert_int_equal(a.written_len, b.written_len);
		assert_memory_equal(a.written, b.written, a.written_len);
		run_free(&a);
		run_free(&b);
	}
	file_free(&f);
}

/* The engine gets what was whole, in its last round as in all others. */
static void test_damaged(void **state)
{
	struct run run;
	struct file f;

	(void)state;
	for (uint32_t n = 1; n < 200; n += 33) {
		file_mix(&f, FORMAT_NANO, false, n, 65535);
		file_put(&f, "01234567890123456789", 20);
		run = replay(&f, (struct replayer_config){ 0 }, false);
		check_books(&run);
		assert_int_equal(run.rc, -EBADMSG);
		assert_int_equal(run.packets, n);
		assert_int_equal(run.stat.received, n);
		run_free(&run);
		file_free(&f);
	}
}

static void test_empty(void **state)
{
	struct run run;
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_PCAPNG, false, 0, 65535);
	run = replay(&f, (struct replayer_config){ 0 }, false);
	check_books(&run);
	assert_int_equal(run.rc, 0);
	assert_int_equal(run.packets, 0);
	run_free(&run);
	file_free(&f);
}

/* An IPv4 or IPv6 datagram as long as one can be; the payload is zeroes but for its first bytes. */
static uint32_t longest(uint8_t *b, int version, uint32_t i)
{
	struct ends e = version == 4 ? ends_of("192.0.2.1", 1, "192.0.2.2", MIX_PORT4) :
				       ends_of("2001:db8::1", 1, "2001:db8::2", MIX_PORT4);
	struct frame f = frame_udp(&e, "", 0);
	uint32_t l4_len = version == 4 ? 65515 : 65535, sum;

	memset(b, 0, 65600);
	memcpy(b, f.b, f.len);
	put16(b + f.l4 + 4, l4_len);
	put16(b + f.l4 + 6, 0);
	memcpy(b + f.l4 + 8, &i, sizeof(i));
	if (version == 4) {
		put16(b + f.l3 + 2, 65535);
		put16(b + f.l3 + 10, 0);
		put16(b + f.l3 + 10, 0xffff - ref_sum(0, b + f.l3, 20));
		sum = ref_sum(0, b + f.l3 + 12, 8);
	} else {
		put16(b + f.l3 + 4, 65535);
		sum = ref_sum(0, b + f.l3 + 8, 32);
	}
	sum = 0xffff - ref_sum(ref_sum(ref_sum(sum, b + f.l4 + 4, 2), (const uint8_t *)"\0\x11", 2),
			       b + f.l4, l4_len);
	put16(b + f.l4 + 6, sum ? sum : 0xffff);
	return f.l4 + l4_len;
}

/* Packets of 64 KiB, more in one round than any ring of the daemon would hold. */
static void test_longest(void **state)
{
	static const uint32_t polls[] = { 64, REPLAYER_POLL_MAX };
	uint8_t *b = malloc(65600);
	uint32_t n = 400;
	struct run run;
	struct file f;

	(void)state;
	file_begin(&f, FORMAT_NANO, false, LINK_ETHERNET, 262144);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = longest(b, i % 2 ? 4 : 6, i);

		file_add(&f, i, b, len, len);
	}
	for (size_t i = 0; i < 2; i++) {
		run = replay(&f, (struct replayer_config){ .poll = polls[i] }, false);
		check_books(&run);
		assert_int_equal(run.stat.delivered, n);
		assert_int_equal(run.port[MIX_PORT4].bytes, n / 2 * (65507 + 65527));
		run_free(&run);
	}
	free(b);
	file_free(&f);
}

/* Tagged frames are for everybody, too; tags of VLANs are skipped. */
static void test_vlan(void **state)
{
	struct run run;
	struct file f;

	(void)state;
	file_begin(&f, FORMAT_NANO, false, LINK_ETHERNET, 65535);
	for (uint32_t vid = 0; vid < 4095; vid += 5) {
		struct frame frame = mix_frame(vid % 4);

		frame_tag(&frame, 0x8100, vid);
		file_add(&f, vid, frame.b, frame.len, frame.len);
	}
	for (uint32_t vid = 0; vid < 100; vid++) {
		struct frame frame = mix_frame(vid % 4);

		frame_tag(&frame, 0x8100, vid);
		frame_tag(&frame, 0x88a8, vid + 1000);
		file_add(&f, vid, frame.b, frame.len, frame.len);
	}
	run = replay(&f, (struct replayer_config){ 0 }, false);
	check_books(&run);
	assert_int_equal(run.stat.delivered, 919);
	run_free(&run);
	file_free(&f);
}

/* Segment i of a TCP stream over IPv4, with len bytes of payload. */
static uint32_t segment(uint8_t *b, uint32_t i, uint32_t len)
{
	struct ends e = ends_of("192.0.2.1", 1000, "192.0.2.2", 80);
	struct frame f = frame_udp(&e, "", 0);
	uint8_t *tcp = b + f.l4, *ip = b + f.l3, pseudo[4] = { 0, 6 };
	uint32_t seq = i * len;

	memcpy(b, f.b, f.len);
	memset(tcp, 0, 20 + len);
	put16(tcp, 1000);
	put16(tcp + 2, 80);
	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq & 0xffff);
	put16(tcp + 12, 0x5010);
	memset(tcp + 20, (int)i, len);
	ip[9] = 6;
	put16(ip + 2, 40 + len);
	put16(ip + 4, i);
	put16(ip + 10, 0);
	put16(ip + 10, 0xffff - ref_sum(0, ip, 20));
	put16(pseudo + 2, 20 + len);
	put16(tcp + 16, 0xffff - ref_sum(ref_sum(ref_sum(0, ip + 12, 8), pseudo, 4), tcp, 20 + len));
	return f.l4 + 20 + len;
}

/* The length of each packet of a capture, up to max of them; how many. */
static uint32_t lengths(const struct run *run, uint32_t *len, uint64_t *tstamp, uint32_t max)
{
	struct capture_packet p;
	struct capture c;
	uint32_t n = 0;

	assert_int_equal(capture_open(&c, fmemopen(run->written, run->written_len, "rb")), 0);
	for (; n < max && capture_read(&c, &p) > 0; n++) {
		len[n] = p.len;
		tstamp[n] = p.tstamp;
	}
	capture_close(&c);
	return n;
}

/* A stream of 100 segments: what waits in a round is merged, with the time of the first. */
static void test_merged(void **state)
{
	static const uint32_t polls[] = { 1, 10, 25, 64 };
	uint32_t len[101], n;
	uint64_t tstamp[101];
	uint8_t b[1500];
	struct run run;
	struct file f;

	(void)state;
	file_begin(&f, FORMAT_NANO, false, LINK_ETHERNET, 65535);
	for (uint32_t i = 0; i < 100; i++)
		file_add(&f, i, b, segment(b, i, 500), 554);
	for (size_t i = 0; i < sizeof(polls) / sizeof(polls[0]); i++) {
		uint32_t poll = polls[i];

		run = replay(&f, (struct replayer_config){ .poll = poll, .stage = REPLAYER_GRO },
			     true);
		check_books(&run);
		assert_int_equal(run.stat.drop[SLUICE_DROP_IP_PROTO], 100);
		n = lengths(&run, len, tstamp, 101);
		assert_int_equal(n, (100 + poll - 1) / poll);
		for (uint32_t k = 0; k < n; k++) {
			uint32_t of = k == n - 1 ? 100 - k * poll : poll;

			assert_int_equal(len[k], 54 + of * 500);
			assert_int_equal(tstamp[k], k * poll);
		}
		assert_int_equal(run.merged, poll > 1 ? 100 : 0);
		assert_int_equal(run.merged_into, poll > 1 ? n : 0);
		run_free(&run);
	}
	file_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_snaplen),
		cmocka_unit_test(test_write_frames),
		cmocka_unit_test(test_write_datagrams),
		cmocka_unit_test(test_same_again),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_merged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
