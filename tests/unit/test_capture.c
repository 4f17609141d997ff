// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Capture files: formats, kinds of links, damage, and what is written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "captures.h"
#include "cli/capture.h"

#define PACKETS 40

static int open_bytes(struct capture *c, const uint8_t *b, size_t len)
{
	FILE *file = fmemopen((void *)(uintptr_t)b, len, "rb");

	assert_non_null(file);
	return capture_open(c, file);
}

/* Every packet of the mixture, then the end, for ever. */
static void check_mix(struct capture *c)
{
	struct capture_packet p;

	for (uint32_t i = 0; i < PACKETS; i++) {
		struct frame f = mix_frame(i);

		assert_int_equal(capture_read(c, &p), 1);
		assert_int_equal(c->packets, i + 1);
		assert_int_equal(p.tstamp, mix_time(i));
		assert_int_equal(p.len, f.len);
		assert_int_equal(p.caplen, f.len);
		assert_memory_equal(p.data, f.b, f.len);
	}
	assert_int_equal(capture_read(c, &p), 0);
	assert_int_equal(capture_read(c, &p), 0);
	assert_int_equal(c->packets, PACKETS);
}

static void test_formats(void **state)
{
	static const enum format formats[] = { FORMAT_MICRO, FORMAT_NANO, FORMAT_PCAPNG };

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		struct capture c;
		struct file f;

		file_mix(&f, formats[i / 2], i % 2, PACKETS, 65535);
		assert_int_equal(open_bytes(&c, f.b, f.len), 0);
		check_mix(&c);
		capture_close(&c);
		file_free(&f);
	}
}

static void test_snaplen(void **state)
{
	struct capture_packet p;
	struct capture c;
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_NANO, false, PACKETS, 60);
	assert_int_equal(open_bytes(&c, f.b, f.len), 0);
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t len = mix_frame(i).len;

		assert_int_equal(capture_read(&c, &p), 1);
		assert_int_equal(p.len, len);
		assert_int_equal(p.caplen, len < 60 ? len : 60);
	}
	assert_int_equal(capture_read(&c, &p), 0);
	capture_close(&c);
	file_free(&f);
}

/* The frame of one packet with this link header in front of the IP header, or with none. */
static void check_link(uint32_t link, const void *header, uint32_t header_len, uint32_t i)
{
	uint8_t bytes[FRAME_MAX], *frame = malloc(CAPTURE_FRAME_MAX);
	struct frame want = mix_frame(i);
	uint32_t len = header_len + want.len - FRAME_L3;
	struct capture_packet p;
	struct capture c;
	struct file f;

	if (header_len)
		memcpy(bytes, header, header_len);
	memcpy(bytes + header_len, want.b + FRAME_L3, want.len - FRAME_L3);
	file_begin(&f, FORMAT_NANO, false, link, 65535);
	file_add(&f, 1, bytes, len, len);
	/* Less than a link header, and nothing at all. */
	file_add(&f, 2, bytes, header_len ? header_len - 1 : 0, header_len ? header_len - 1 : 0);
	file_add(&f, 3, bytes, 0, 0);
	assert_int_equal(open_bytes(&c, f.b, f.len), 0);
	assert_int_equal(capture_read(&c, &p), 1);
	assert_int_equal(capture_frame(&c, &p, frame), want.len);
	memset(want.b, 0, 12);
	assert_memory_equal(frame, want.b, want.len);
	for (int n = 0; n < 2; n++) {
		assert_int_equal(capture_read(&c, &p), 1);
		assert_int_equal(capture_frame(&c, &p, frame), 0);
	}
	capture_close(&c);
	file_free(&f);
	free(frame);
}

static void test_links(void **state)
{
	static const uint8_t sll4[16] = { 0, 0, 0, 1, 0, 6, [14] = 8, 0 };
	static const uint8_t sll6[16] = { 0, 0, 0, 1, 0, 6, [14] = 0x86, 0xdd };
	static const uint8_t sll2[20] = { 8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6 };

	(void)state;
	check_link(LINK_RAW, NULL, 0, 0);
	check_link(LINK_RAW, NULL, 0, 4);
	check_link(LINK_SLL, sll4, sizeof(sll4), 1);
	check_link(LINK_SLL, sll6, sizeof(sll6), 4);
	check_link(LINK_SLL2, sll2, sizeof(sll2), 2);
}

static void refuse(const void *b, size_t len, const char *why)
{
	struct capture c;

	assert_int_equal(open_bytes(&c, b, len), -EINVAL);
	if (!strstr(c.error, why))
		fail_msg("`%s` does not say `%s`", c.error, why);
}

static void test_not_a_capture(void **state)
{
	struct file f;

	(void)state;
	file_mix(&f, FORMAT_MICRO, false, 1, 65535);
	refuse(f.b, 3, "only got 3");
	refuse(f.b, 23, "only got");
	f.b[0] ^= 1;
	refuse(f.b, f.len, "unknown file format");
	f.b[0] ^= 1;
	f.b[20] = 105;
	refuse(f.b, f.len, "IEEE802_11");
	file_free(&f);
}

/* Reads up to the damage: packets before it come, then it is named, for ever. */
static void check_damaged(const uint8_t *b, size_t len, uint32_t packets, const char *why)
{
	struct capture_packet p;
	struct capture c;
	char number[32];

	snprintf(number, sizeof(number), "packet %u: ", packets + 1);
	assert_int_equal(open_bytes(&c, b, len), 0);
	for (uint32_t i = 0; i < packets; i++)
		assert_int_equal(capture_read(&c, &p), 1);
	assert_int_equal(capture_read(&c, &p), -EBADMSG);
	assert_int_equal(capture_read(&c, &p), -EBADMSG);
	assert_int_equal(c.packets, packets);
	if (!strstr(c.error, why) || strncmp(c.error, number, strlen(number)))
		fail_msg("`%s` does not say `%s` `%s`", c.error, number, why);
	capture_close(&c);
}

static void test_cut_off(void **state)
{
	struct file f;
	size_t at;

	(void)state;
	file_mix(&f, FORMAT_MICRO, false, 3, 65535);
	at = f.len;
	file_add(&f, 0, "0123456789", 10, 10);
	for (size_t len = at + 1; len < f.len; len++)
		check_damaged(f.b, len, 3, "truncated");
	file_free(&f);
	file_mix(&f, FORMAT_PCAPNG, false, 3, 65535);
	at = f.len;
	file_add(&f, 0, "0123456789", 10, 10);
	for (size_t len = at + 1; len < f.len; len++)
		check_damaged(f.b, len, 3, "truncated");
	file_free(&f);
}

static void test_bad_lengths(void **state)
{
	static const struct {
		uint32_t caplen, len;
		const char *why;
	} bad[] = {
		{ 10, 9, "10 bytes captured of a packet of 9" },
		{ 0xffffffff, 0xffffffff, "" },
		{ CAPTURE_MAX + 1, CAPTURE_MAX + 1, "" },
		{ 0x80000000, 60, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct file f;

		file_mix(&f, FORMAT_MICRO, false, 5, CAPTURE_MAX);
		file_put32(&f, 0);
		file_put32(&f, 0);
		file_put32(&f, bad[i].caplen);
		file_put32(&f, bad[i].len);
		file_put(&f, "0123456789", 10);
		check_damaged(f.b, f.len, 5, bad[i].why);
		file_free(&f);
	}
}

/* Longer than any packet, in a format that allows it. */
static void test_too_long(void **state)
{
	uint8_t *b = calloc(1, CAPTURE_MAX + 1);
	struct file f;

	(void)state;
	file_begin(&f, FORMAT_PCAPNG, false, LINK_ETHERNET, 1 << 24);
	file_add(&f, 1, b, CAPTURE_MAX, CAPTURE_MAX);
	file_add(&f, 2, b, CAPTURE_MAX + 1, CAPTURE_MAX + 1);
	check_damaged(f.b, f.len, 1, "");
	file_free(&f);
	free(b);
}

static void test_times(void **state)
{
	struct capture_packet p;
	struct capture c;
	struct file f;

	(void)state;
	file_begin(&f, FORMAT_MICRO, false, LINK_ETHERNET, 65535);
	file_add(&f, 0, "x", 1, 1);
	file_put32(&f, 0x7fffffff);
	file_put32(&f, 999999);
	file_put32(&f, 0);
	file_put32(&f, 0);
	assert_int_equal(open_bytes(&c, f.b, f.len), 0);
	assert_int_equal(capture_read(&c, &p), 1);
	assert_int_equal(p.tstamp, 0);
	assert_int_equal(capture_read(&c, &p), 1);
	assert_int_equal(p.tstamp, 0x7fffffffull * 1000000000 + 999999000);
	capture_close(&c);
	file_free(&f);
}

/* What is written is read again, and a file in ns comes out byte for byte. */
static void test_write(void **state)
{
	char path[] = "/tmp/sluice-capture.XXXXXX";
	int fd = mkstemp(path);
	struct capture_packet p;
	struct capture_out out;
	struct capture c;
	struct file f;
	uint8_t *got;

	(void)state;
	assert_true(fd >= 0);
	file_mix(&f, FORMAT_NANO, false, PACKETS, 262144);
	got = malloc(f.len + 1);
	assert_int_equal(open_bytes(&c, f.b, f.len), 0);
	assert_int_equal(capture_out_open(&out, path, c.link), 0);
	while (capture_read(&c, &p) > 0)
		capture_out_add(&out, &p);
	capture_close(&c);
	assert_int_equal(capture_out_close(&out), 0);
	assert_int_equal(read(fd, got, f.len + 1), f.len);
	assert_memory_equal(got, f.b, f.len);
	free(got);
	file_free(&f);
	close(fd);
	unlink(path);
}

static void test_write_errors(void **state)
{
	struct capture_packet p = { .data = (const uint8_t *)"x", .caplen = 1, .len = 1 };
	struct capture_out out;

	(void)state;
	assert_int_equal(capture_out_open(&out, "/nonexistent/x", 1), -ENOENT);
	assert_int_equal(capture_out_open(&out, "/dev/full", 1), 0);
	for (int i = 0; i < 1000; i++)
		capture_out_add(&out, &p);
	assert_int_equal(capture_out_close(&out), -EIO);
	assert_int_equal(capture_out_close(&out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_snaplen),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_not_a_capture),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_bad_lengths),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
