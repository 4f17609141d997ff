/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * stop.h - SIGTERM is blocked, and looked for between two batches: what was sent or
 * received by then is known exactly.
 */
#ifndef TEST_STOP_H
#define TEST_STOP_H

#include <signal.h>

static inline int told_to_stop(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGTERM);
}

static inline void block_stop(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

#endif
