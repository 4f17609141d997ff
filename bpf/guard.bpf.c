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
 * the daemon through guard_event. guard_cgroup.bpf.c is the other kind, for
 * kernels that bar these hooks.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "guard.h"
#include "kernel.h"

struct sockaddr;

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

static __always_inline int changing(struct sock *sk)
{
	port_shut(local_port(sk));
	return 0;
}

static __always_inline int changed(struct sock *sk)
{
	port_report(local_port(sk));
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
