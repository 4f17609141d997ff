// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Frames as lines: what they say, and that no length of any frame is read beyond. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "cli/print.h"

#include "frames.h"

#define LINE 256

/* In memory of its own, so that a sanitizer sees what is read behind it. */
static void line_of(char text[LINE], const struct frame *f, uint32_t kept)
{
	uint8_t *copy = malloc(kept ? kept : 1);

	memcpy(copy, f->b, kept);
	print_frame(text, LINE, copy, kept, f->len);
	free(copy);
}

static void expect_line(const struct frame *f, const char *line)
{
	char text[LINE];

	line_of(text, f, f->len);
	assert_string_equal(text, line);
}

static struct frame udp(const char *saddr, const char *daddr, size_t len)
{
	struct ends e = ends_of(saddr, 1000, daddr, 53);
	uint8_t payload[100] = { 0 };

	return frame_udp(&e, payload, len);
}

static void test_lines(void **state)
{
	struct frame f = udp("192.0.2.1", "192.0.2.2", 20);

	(void)state;
	expect_line(&f, "IP 192.0.2.1.1000 > 192.0.2.2.53: UDP, length 20");
	frame_tag(&f, 0x8100, 0xe005);
	expect_line(&f, "vlan 5, IP 192.0.2.1.1000 > 192.0.2.2.53: UDP, length 20");
	frame_tag(&f, 0x88a8, 77);
	expect_line(&f, "vlan 77, vlan 5, IP 192.0.2.1.1000 > 192.0.2.2.53: UDP, length 20");
	f = udp("2001:db8::1", "2001:db8::2", 5);
	expect_line(&f, "IP6 2001:db8::1.1000 > 2001:db8::2.53: UDP, length 5");
	put16(f.b + 12, 0x0806);
	expect_line(&f, "ethertype 0x0806, length 67");
	f = udp("192.0.2.1", "192.0.2.2", 20);
	put16(f.b + f.l3 + 6, 0x2001);
	expect_line(&f, "IP 192.0.2.1 > 192.0.2.2: fragment of proto 17, offset 8, length 28");
	put16(f.b + f.l3 + 6, 0);
	f.b[f.l3 + 9] = 1;
	expect_line(&f, "IP 192.0.2.1 > 192.0.2.2: proto 1, length 28");
	/* Lengths that cannot be. */
	f.b[f.l3 + 9] = 17;
	put16(f.b + f.l3 + 2, 3);
	put16(f.b + f.l4 + 4, 2);
	expect_line(&f, "IP 192.0.2.1.1000 > 192.0.2.2.53: UDP, length 0");
}

static void test_tcp(void **state)
{
	struct frame f = udp("192.0.2.1", "192.0.2.2", 40);
	uint8_t *th = f.b + f.l4;

	(void)state;
	f.b[f.l3 + 9] = 6;
	memset(th + 4, 0, 36);
	put16(th + 6, 1234);
	th[12] = 0x50;
	th[13] = 0x12;
	put16(th + 14, 512);
	expect_line(&f, "IP 192.0.2.1.1000 > 192.0.2.2.53: Flags [S.], seq 1234, ack 0, win 512, "
		    "length 28");
	th[13] = 0;
	th[12] = 0xf0;
	expect_line(&f, "IP 192.0.2.1.1000 > 192.0.2.2.53: Flags [none], seq 1234, ack 0, "
		    "win 512, length 0");
}

static void test_cut_off(void **state)
{
	struct frame f[3] = { udp("192.0.2.1", "192.0.2.2", 20),
			      udp("2001:db8::1", "2001:db8::2", 20),
			      udp("192.0.2.1", "192.0.2.2", 20) };
	char text[LINE];

	(void)state;
	frame_tag(&f[2], 0x8100, 5);
	f[2].b[f[2].l3 + 9] = 6;
	for (int i = 0; i < 3; i++) {
		for (uint32_t kept = 0; kept <= f[i].len; kept++) {
			line_of(text, &f[i], kept);
			assert_true(text[0]);
			if (kept < f[i].l4 + 8)
				assert_non_null(strstr(text, "cut off"));
		}
	}
	line_of(text, &f[0], 13);
	assert_string_equal(text, " [ethernet cut off]");
}

/* Whatever it is; and a line with room for little. */
static void test_noise(void **state)
{
	struct frame f = udp("192.0.2.1", "192.0.2.2", 60);
	uint32_t seed = 1;
	char text[LINE], small[20];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		for (int n = 0; n < 8; n++) {
			seed = seed * 1664525 + 1013904223;
			f.b[12 + (seed >> 20) % (f.len - 12)] = (uint8_t)(seed >> 8);
		}
		put16(f.b + 12, (const unsigned int[]){ 0x800, 0x86dd, 0x8100, 0x88a8 }[i % 4]);
		line_of(text, &f, seed % (f.len + 1));
		print_frame(small, sizeof(small), f.b, f.len, f.len);
		assert_true(strlen(text) < LINE && strlen(small) < sizeof(small));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
