/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * check.h - what a test program prints: one line per thing checked, and at the
 * end an exit code that is 0 only when there were checks and none failed.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct checks {
	unsigned int done, failed;
};

static inline bool check(struct checks *c, bool ok, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static inline bool check(struct checks *c, bool ok, const char *fmt, ...)
{
	va_list ap;

	c->done++;
	c->failed += !ok;
	printf("%s  ", ok ? "ok  " : "FAIL");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	return ok;
}

/* `result` is what a call returned (0 or more), or -errno. */
static inline bool check_error(struct checks *c, int result, int want, const char *what)
{
	if (result == -want)
		return check(c, true, "%s: %s", what, want ? strerror(want) : "allowed");
	return check(c, false, "%s: %s, wanted %s", what,
		     result < 0 ? strerror(-result) : "allowed", want ? strerror(want) : "success");
}

static inline int check_exit(const struct checks *c)
{
	return !c->done || c->failed;
}

#endif
