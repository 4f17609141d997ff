/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * guard.h - what the two kinds of guard, guard.bpf.c and guard_cgroup.bpf.c,
 * have in common: their maps, how the gate of a port is shut (struct
 * sluice_port) and how the daemon is told.
 *
 * Advancing gen without need costs a look at the kernel's tables, missing a
 * change would take traffic from another socket: no hook asks whether anything
 * has really changed.
 */
#ifndef SLUICE_BPF_GUARD_H
#define SLUICE_BPF_GUARD_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "sluice/steer.h"

/* 4,096 events: more than the daemon leaves unread while it handles one; else `lost` tells. */
#define EVENT_BYTES (64 << 10)

const volatile __u64 netns_cookie;

/* Events that found guard_event full. */
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct sluice_port);
} bind_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENT_BYTES);
} guard_event SEC(".maps");

/* Shuts the gate of a port (host order, 0: none); 0: nobody watches it. */
static __always_inline int port_shut(__u32 port)
{
	struct sluice_port *p;

	if (!port)
		return 0;
	p = bpf_map_lookup_elem(&bind_port, &port);
	if (!p || !(p->flags & SLUICE_PORT_WATCH))
		return 0;
	__sync_fetch_and_add(&p->gen, 1);
	return 1;
}

/* Shuts the gate and tells the daemon. */
static __always_inline void port_report(__u32 port)
{
	if (port_shut(port) && bpf_ringbuf_output(&guard_event, &port, sizeof(port), 0))
		__sync_fetch_and_add(&lost, 1);
}

#endif
