// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* dispatcher.c - keeps an XDP program attached where no packet passes. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "cli/dispatcher.h"

/* The loopback device is the first of every network namespace. */
#define LOOPBACK_IFINDEX 1

struct hold_request {
	struct dispatcher_hold *h;
	int prog_fd;
	int err;
};

/* In a thread of its own, since it leaves the caller's network namespace for good. */
static void *hold_main(void *arg)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_SKB_MODE);
	struct hold_request *r = arg;
	int link, netns;

	if (unshare(CLONE_NEWNET)) {
		r->err = -errno;
		return NULL;
	}
	netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0) {
		r->err = -errno;
		return NULL;
	}
	link = bpf_link_create(r->prog_fd, LOOPBACK_IFINDEX, BPF_XDP, &opts);
	if (link < 0) {
		r->err = link;
		close(netns);
		return NULL;
	}
	r->h->netns = netns;
	r->h->link = link;
	return NULL;
}

int dispatcher_hold(struct dispatcher_hold *h, int prog_fd)
{
	struct hold_request r = { .h = h, .prog_fd = prog_fd };
	pthread_t thread;
	int err;

	*h = (struct dispatcher_hold){ -1, -1 };
	err = -pthread_create(&thread, NULL, hold_main, &r);
	if (err)
		return err;
	pthread_join(thread, NULL);
	return r.err;
}

void dispatcher_release(struct dispatcher_hold *h)
{
	if (h->netns < 0)
		return;
	close(h->link);
	close(h->netns);
	*h = (struct dispatcher_hold){ -1, -1 };
}
