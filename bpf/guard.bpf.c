// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * guard.bpf.c - closes the gate of a port (struct sluice_port) whenever the UDP
 * sockets on it change.
 *
 *   socket call              kernel function, hooked on entry and on return
 *   bind, autobind           udp_lib_get_port (return only)
 *   connect                  __ip4_datagram_connect, __ip6_datagram_connect
 *   disconnect               __udp_disconnect
 *   SO_BINDTODEVICE          udp_lib_rehash
 *   close, exit, disconnect  udp_lib_unhash
 *
 * On entry gen is advanced, so that the gate is shut while the change goes on.
 * On return it is advanced again, since the daemon may have read the kernel's
 * tables in between and opened the gate on what it saw; the port then goes to
 * the daemon through guard_event. Advancing without need costs a look at the
 * tables, missing one would take traffic from another socket: no hook asks
 * whether anything has really changed.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "sluice/steer.h"

#define SOCK_DGRAM 2
/* 4,096 events: more than the daemon leaves unread while it handles one; else `lost` tells. */
#define EVENT_BYTES (64 << 10)

/* The few members needed; libbpf finds their places in the running kernel. */
#define KERNEL_TYPE __attribute__((preserve_access_index))

struct net {
	__u64 net_cookie;
} KERNEL_TYPE;

typedef struct {
	struct net *net;
} KERNEL_TYPE possible_net_t;

struct sock_common {
	__u16 skc_num;
	possible_net_t skc_net;
} KERNEL_TYPE;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol;
} KERNEL_TYPE;

struct inet_sock {
	__be16 inet_sport;
} KERNEL_TYPE;

struct sockaddr;

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

/* The local port of one of our sockets, host order; 0: not ours, or not bound. */
static __always_inline __u32 local_port(struct sock *sk)
{
	__u16 num;

	if (sk->sk_protocol != IPPROTO_UDP || sk->sk_type != SOCK_DGRAM)
		return 0;
	if (sk->__sk_common.skc_net.net->net_cookie != netns_cookie)
		return 0;
	num = sk->__sk_common.skc_num;
	if (num)
		return num;
	/* udp_lib_unhash clears skc_num and leaves this one. */
	return bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/* Shuts the gate; 0: nobody watches the port. */
static __always_inline int shut(__u32 port)
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

static __always_inline int changing(struct sock *sk)
{
	shut(local_port(sk));
	return 0;
}

static __always_inline int changed(struct sock *sk)
{
	__u32 port = local_port(sk);

	if (shut(port) && bpf_ringbuf_output(&guard_event, &port, sizeof(port), 0))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

SEC("fexit/udp_lib_get_port")
int BPF_PROG(bound, struct sock *sk, unsigned short snum, unsigned int nulladdr, int ret)
{
	return ret ? 0 : changed(sk);
}

SEC("fentry/__ip4_datagram_connect")
int BPF_PROG(connect4, struct sock *sk)
{
	return changing(sk);
}

SEC("fexit/__ip4_datagram_connect")
int BPF_PROG(connected4, struct sock *sk)
{
	return changed(sk);
}

SEC("fentry/__ip6_datagram_connect")
int BPF_PROG(connect6, struct sock *sk)
{
	return changing(sk);
}

SEC("fexit/__ip6_datagram_connect")
int BPF_PROG(connected6, struct sock *sk)
{
	return changed(sk);
}

SEC("fentry/__udp_disconnect")
int BPF_PROG(disconnect, struct sock *sk)
{
	return changing(sk);
}

SEC("fexit/__udp_disconnect")
int BPF_PROG(disconnected, struct sock *sk)
{
	return changed(sk);
}

SEC("fentry/udp_lib_rehash")
int BPF_PROG(rehash, struct sock *sk)
{
	return changing(sk);
}

SEC("fexit/udp_lib_rehash")
int BPF_PROG(rehashed, struct sock *sk)
{
	return changed(sk);
}

SEC("fentry/udp_lib_unhash")
int BPF_PROG(unhash, struct sock *sk)
{
	return changing(sk);
}

SEC("fexit/udp_lib_unhash")
int BPF_PROG(unhashed, struct sock *sk)
{
	return changed(sk);
}

/* bpf_probe_read_kernel is only for programs under a license that the GPL allows. */
char _license[] SEC("license") = "Dual BSD/GPL";
