/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * receive.h - the receiving half of `sluice recv`: UDP sockets, read through
 * sluice or the kernel, every datagram checked against payload.h.
 *
 *   received = tracked + foreign + malformed, tracked per flow in track.h
 *
 * One thread. Nothing is allocated after receive_open() but for new flows.
 */
#ifndef SLUICE_CLI_RECEIVE_H
#define SLUICE_CLI_RECEIVE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/track.h"
#include "sluice/sluice.h"

#define RECEIVE_PORTS 64

enum receive_mode {
	RECEIVE_LANE,	/* sluice_recvmmsg() */
	RECEIVE_VIEW,	/* sluice_peek(), sluice_release() */
	RECEIVE_KERNEL,	/* recvmmsg(), never attached */
};

struct receive_plan {
	int family;
	const uint8_t *addr;		/* network order; NULL: any */
	const uint32_t *ports;
	uint32_t nports;
	enum receive_mode mode;
	uint32_t batch;
	uint32_t lane_bytes;		/* 0: default */
	uint32_t rcvbuf;		/* bytes of the kernel socket; 0: default */
	const char *dev;		/* of the daemon; NULL: the only one */
	bool require, verify;
	bool gro;			/* asks for merged datagrams (UDP_GRO) */
	int cpu;			/* -1: not pinned */
	uint64_t hop_ns;		/* 0: stays */
	uint64_t count, time_ns, idle_ns;	/* ends; 0: none */
	uint64_t interval_ns;		/* 0: no intermediate reports */
};

struct receive_port {
	uint16_t port;
	int fd;
	struct sluice_sock *sock;	/* NULL: kernel */
	uint64_t received;
};

struct receive {
	struct receive_plan plan;
	struct receive_port port[RECEIVE_PORTS];
	struct receive_buffers *buf;
	struct track track;
	sigset_t signals;
	uint64_t received, bytes;
	uint64_t merged;	/* times that several datagrams came as one */
	uint64_t foreign;	/* without our header */
	uint64_t malformed;	/* with our header, but longer than any frame of ours */
	uint64_t corrupt;	/* a byte that is not the pattern's; only with verify */
	uint64_t start_ns, now_ns;
	uint64_t first_ns, last_ns;	/* arrival of the first and last batch; 0: none */
	uint64_t hops;
};

/*
 * Opens, binds and attaches the sockets. 0; -errno with *port the port that
 * failed (0: none) and *what the step; r then holds nothing.
 */
int receive_open(struct receive *r, const struct receive_plan *plan, uint16_t *port,
		 const char **what);
/*
 * Receives until an end of the plan or SIGINT or SIGTERM. Calls report every interval.
 * SIGUSR1 moves the thread to the next CPU. 0 or -errno.
 */
int receive_run(struct receive *r, void (*report)(const struct receive *r, void *arg), void *arg);
void receive_close(struct receive *r);

#endif
