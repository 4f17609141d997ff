// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * guard_cgroup.bpf.c - guard.bpf.c for kernels without BTF, or whose lockdown
 * bars fentry and fexit: hooks of the cgroup tree. They change nothing and let
 * everything through.
 *
 *   socket call              hook                      when
 *   bind                     post_bind4, post_bind6    the socket is in the tables
 *   connect                  connect4, connect6        before
 *   setsockopt               setsockopt                before
 *   close, exit              sock_release              before
 *
 * Most run before the change, and none on its return: whoever reads guard_event
 * waits (GUARD_SETTLE_MS) before he looks at the tables. No hook exists for
 * disconnect, for the implicit bind of connect and sendto, nor for processes
 * outside of the cgroup tree that the daemon sees.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/udp.h>
#include <asm/socket.h>
#include <bpf/bpf_helpers.h>
#include "guard.h"

#define AF_INET 2
#define AF_INET6 10
#define SOCK_DGRAM 2
#define SOL_UDP 17

/*
 * The port of a socket (host order), for sock_release, which may not read it.
 * Sockets that were bound before the guard started are entered at their next
 * connect or setsockopt; until then their close is not seen. A gate that one of
 * them keeps shut is then opened later, which takes no traffic from anyone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} sock_port SEC(".maps");

static __always_inline void sock_report(struct bpf_sock *sk)
{
	__u32 port = sk->src_port, *known;

	if (!port)
		return;
	known = bpf_sk_storage_get(&sock_port, sk, &port, BPF_SK_STORAGE_GET_F_CREATE);
	if (known)
		*known = port;
	port_report(port);
}

static __always_inline int bound(struct bpf_sock *sk)
{
	if (sk->protocol == IPPROTO_UDP && sk->type == SOCK_DGRAM &&
	    bpf_get_netns_cookie(sk) == netns_cookie)
		sock_report(sk);
	return 1;
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *sk)
{
	return bound(sk);
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *sk)
{
	return bound(sk);
}

SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *sk)
{
	__u32 *port;

	if (sk->protocol != IPPROTO_UDP || sk->type != SOCK_DGRAM ||
	    bpf_get_netns_cookie(sk) != netns_cookie)
		return 1;
	port = bpf_sk_storage_get(&sock_port, sk, 0, 0);
	if (port)
		port_report(*port);
	return 1;
}

static __always_inline int connecting(struct bpf_sock_addr *ctx)
{
	if (ctx->protocol == IPPROTO_UDP && ctx->type == SOCK_DGRAM && ctx->sk &&
	    bpf_get_netns_cookie(ctx) == netns_cookie)
		sock_report(ctx->sk);
	return 1;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return connecting(ctx);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return connecting(ctx);
}

/*
 * Options that change which datagrams a bound socket takes, or who else may share
 * its port. IPV6_V6ONLY is not one: the kernel refuses it once the socket is bound.
 */
static __always_inline int socket_option(int optname)
{
	switch (optname) {
	case SO_BINDTODEVICE:
	case SO_BINDTOIFINDEX:
	case SO_REUSEPORT:
	case SO_ATTACH_FILTER:
	case SO_ATTACH_BPF:
	case SO_DETACH_FILTER:
	case SO_ATTACH_REUSEPORT_CBPF:
	case SO_ATTACH_REUSEPORT_EBPF:
	case SO_DETACH_REUSEPORT_BPF:
		return 1;
	}
	return 0;
}

static __always_inline int matters(int level, int optname)
{
	switch (level) {
	case SOL_SOCKET:
		return socket_option(optname);
	case SOL_UDP:
		return optname == UDP_ENCAP || optname == UDP_NO_CHECK6_RX;
	case IPPROTO_IPV6:
		return optname == IPV6_ADDRFORM;
	}
	return 0;
}

static __always_inline int udp_sock(struct bpf_sock *sk)
{
	return (sk->family == AF_INET || sk->family == AF_INET6) && sk->type == SOCK_DGRAM &&
	       sk->protocol == IPPROTO_UDP;
}

SEC("cgroup/setsockopt")
int setsockopt(struct bpf_sockopt *ctx)
{
	/*
	 * Of a value longer than a page the kernel shows a part. Unless the
	 * program disowns that part, older kernels fail the call with EFAULT.
	 */
	if (ctx->optlen > ctx->optval_end - ctx->optval)
		ctx->optlen = 0;
	if (matters(ctx->level, ctx->optname) && ctx->sk && udp_sock(ctx->sk) &&
	    bpf_get_netns_cookie(ctx) == netns_cookie)
		sock_report(ctx->sk);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
