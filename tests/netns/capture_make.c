// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * capture_make FORMAT COUNT [SNAPLEN] > FILE - the mixture of tests/unit/captures.h as a
 * capture file: micro, nano or pcapng, with -be big-endian.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/captures.h"

static int read_format(const char *name, enum format *format, bool *swapped)
{
	static const char *const names[] = {
		[FORMAT_MICRO] = "micro",
		[FORMAT_NANO] = "nano",
		[FORMAT_PCAPNG] = "pcapng",
	};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (strncmp(name, names[i], len))
			continue;
		*format = i;
		*swapped = !strcmp(name + len, "-be");
		return 0;
	}
	return -1;
}

int main(int argc, char **argv)
{
	enum format format;
	bool swapped;
	struct file f;
	int status;

	if (argc < 3 || read_format(argv[1], &format, &swapped)) {
		fputs("usage: capture_make micro|nano|pcapng[-be] COUNT [SNAPLEN]\n", stderr);
		return 2;
	}
	file_mix(&f, format, swapped, (uint32_t)strtoul(argv[2], NULL, 10),
		 argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 262144);
	status = fwrite(f.b, 1, f.len, stdout) == f.len && !fflush(stdout) ? 0 : 1;
	file_free(&f);
	return status;
}
