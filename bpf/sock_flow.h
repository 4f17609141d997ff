/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sock_flow.h - the map rps_sock_flow: read by steer.bpf.c, written by workers and by
 * rfs_kernel.bpf.c. User space sets the size, half its entries (maps.h).
 */
#ifndef SLUICE_SOCK_FLOW_H
#define SLUICE_SOCK_FLOW_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <sluice/steer.h>

#define DEFAULT_SOCK_FLOWS 32768

/* rps_sock_flow entry i is pair[i / 2].entry[i % 2]. */
struct sock_flow_pair {
	__u32 entry[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEFAULT_SOCK_FLOWS / 2);
	__type(key, __u32);
	__type(value, struct sock_flow_pair);
} rps_sock_flow SEC(".maps");

#endif
