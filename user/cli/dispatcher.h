/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * dispatcher.h - makes repeated BPF_PROG_TEST_RUN calls of an XDP program cheap.
 *
 * Every such call enters the program into the kernel's XDP dispatcher and takes
 * it out again, unless it is there already; both wait for an RCU grace period,
 * some 20 ms together. An attached program is there already. So attach it to a
 * loopback device that nobody uses: that of a network namespace of its own.
 */
#ifndef SLUICE_CLI_DISPATCHER_H
#define SLUICE_CLI_DISPATCHER_H

struct dispatcher_hold {
	int netns;	/* -1: nothing is held */
	int link;
};

/* 0; -errno (-EPERM without CAP_SYS_ADMIN), then h holds nothing. */
int dispatcher_hold(struct dispatcher_hold *h, int prog_fd);
void dispatcher_release(struct dispatcher_hold *h);

#endif
