// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * rfs_kernel.bpf.c - feeds rps_sock_flow with the CPUs on which programs receive from the
 * kernel's sockets, so that CPUMAP takes their packets there. Programs need not know.
 *
 *   TCP                 tcp_adjusts: the receive call has copied data (also splice)
 *   UDP, connected      received: a receive call returns
 *   UDP, unconnected    received notes the CPU with the socket; arrives takes the flow from
 *                       each datagram that comes for it and records that CPU
 *
 * So the flow of an unconnected socket follows with the datagram after the one that was
 * received; the kernel has no hook where a program may see both the datagram and its reader.
 *
 * Before Linux 6.3 there is no sock_recv_length; then consumes, a fentry program, sees
 * datagram and reader (until 6.17 it would everywhere).
 *
 * Peeking at a datagram is not receiving it; in TCP it counts, as in Linux. Only sockets of
 * one network namespace, and no flow over loopback: it never comes by the device.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <sluice/steer.h>

#include "hash.h"
#include "kernel.h"
#include "sock_flow.h"

#define AF_INET 2
#define AF_INET6 10
#define TCP_ESTABLISHED 1
#define MSG_PEEK 0x2
#define MSG_ERRQUEUE 0x2000
#define LOOPBACK_IFINDEX 1
#define IP_MF_OR_OFFSET 0x3fff

/* As steer.bpf.c has them. */
const volatile __u64 hash_key[2] = {};
const volatile __u8 hash_toeplitz = 0;
const volatile toeplitz_nibble toeplitz_table[TOEPLITZ_NIBBLES] = {};
const volatile __u32 sock_flow_mask = 0;
const volatile __u32 cpu_mask = 0;
const volatile __u64 netns_cookie = 0;

/* Of an unconnected UDP socket: the CPU where it was received from last. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} reader_cpu SEC(".maps");

static __always_inline int is_loopback4(__be32 addr)
{
	return (bpf_ntohl(addr) >> 24) == 127;
}

/* As in steer.bpf.c: apart, as the table's addresses would crowd the stack. */
static __noinline __u32 key_toeplitz(const struct flow_key *k)
{
	return k ? toeplitz_hash(toeplitz_table, k) : 0;
}

static __always_inline __u32 key_hash(const struct flow_key *k)
{
	/* Through a pointer, the compiler would take the constant for what the object has. */
	const __u64 key[2] = { hash_key[0], hash_key[1] };

	return hash_toeplitz ? key_toeplitz(k) : flow_hash(key, k);
}

/* Written only when it changes: other CPUs read it for every packet. */
static __always_inline void flow_record(const struct flow_key *k, __u32 cpu)
{
	__u32 hash = key_hash(k), slot = hash & sock_flow_mask;
	__u32 pair = slot / 2, entry = (hash & ~cpu_mask) | cpu;
	struct sock_flow_pair *p = bpf_map_lookup_elem(&rps_sock_flow, &pair);

	if (p && p->entry[slot % 2] != entry)
		p->entry[slot % 2] = entry;
}

static __always_inline void key_set6(struct flow_key *k, const struct in6_addr *saddr,
				     const struct in6_addr *daddr)
{
	__builtin_memcpy(&k->saddr, saddr, sizeof(k->saddr));
	__builtin_memcpy(&k->daddr, daddr, sizeof(k->daddr));
	k->version = 6;
	if (k->saddr.w[0] || k->saddr.w[1] || k->saddr.w[2] != bpf_htonl(0xffff))
		return;
	/* An IPv6 socket that speaks IPv4. */
	k->saddr.w[0] = k->saddr.w[3];
	k->daddr.w[0] = k->daddr.w[3];
	k->version = 4;
}

/* The flow as its incoming packets have it. 0: none that comes by a device. */
static __always_inline int key_of_sock(struct flow_key *k, struct sock *sk)
{
	struct in6_addr saddr, daddr;

	k->ports = 1;
	k->sport = sk->__sk_common.skc_dport;
	k->dport = bpf_htons(sk->__sk_common.skc_num);
	k->proto = (__u8)sk->sk_protocol;
	if (sk->__sk_common.skc_family == AF_INET6) {
		/* Word by word, as lockdown may bar programs from reading memory at large. */
		for (int i = 0; i < 4; i++) {
			saddr.s6_addr32[i] = sk->__sk_common.skc_v6_daddr.s6_addr32[i];
			daddr.s6_addr32[i] = sk->__sk_common.skc_v6_rcv_saddr.s6_addr32[i];
		}
		key_set6(k, &saddr, &daddr);
	} else {
		k->saddr.w[0] = sk->__sk_common.skc_daddr;
		k->daddr.w[0] = sk->__sk_common.skc_rcv_saddr;
		k->version = 4;
	}
	return k->version == 6 || !is_loopback4(k->saddr.w[0]);
}

static __always_inline int is_ours(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return (family == AF_INET || family == AF_INET6) &&
	       sk->__sk_common.skc_net.net->net_cookie == netns_cookie;
}

static __always_inline void sock_record(struct sock *sk)
{
	struct flow_key k = {};

	if (key_of_sock(&k, sk))
		flow_record(&k, bpf_get_smp_processor_id());
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_adjusts, struct sock *sk)
{
	if (is_ours(sk))
		sock_record(sk);
	return 0;
}

static __always_inline int is_udp(struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_UDP && sk->sk_type == SOCK_DGRAM;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk, int ret, int flags)
{
	__u32 cpu = bpf_get_smp_processor_id(), *known;

	if (ret < 0 || flags & (MSG_PEEK | MSG_ERRQUEUE) || !is_udp(sk) || !is_ours(sk))
		return 0;
	if (sk->__sk_common.skc_state == TCP_ESTABLISHED) {
		sock_record(sk);
		return 0;
	}
	known = bpf_sk_storage_get(&reader_cpu, sk, &cpu, BPF_SK_STORAGE_GET_F_CREATE);
	if (known && *known != cpu)
		*known = cpu;
	return 0;
}

static __always_inline int key_of_udp(struct flow_key *k, const void *l4, const void *end)
{
	const __be16 *port = l4;

	if (l4 + 2 * sizeof(*port) > end)
		return 0;
	k->ports = 1;
	k->sport = port[0];
	k->dport = port[1];
	k->proto = IPPROTO_UDP;
	return 1;
}

/* A whole datagram: fragments have been put together before it comes to a socket. */
static __always_inline int key_of_packet(struct flow_key *k, const void *l3, const void *end,
					 __be16 protocol)
{
	const struct ipv6hdr *ip6 = l3;
	const struct iphdr *ip = l3;

	if (protocol == bpf_htons(ETH_P_IP)) {
		if ((const void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP)
			return 0;
		k->saddr.w[0] = ip->saddr;
		k->daddr.w[0] = ip->daddr;
		k->version = 4;
		return key_of_udp(k, l3 + 4u * ip->ihl, end);
	}
	/* With extension headers its readers do not count. */
	if ((const void *)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_UDP)
		return 0;
	__builtin_memcpy(&k->saddr, &ip6->saddr, sizeof(k->saddr));
	__builtin_memcpy(&k->daddr, &ip6->daddr, sizeof(k->daddr));
	k->version = 6;
	return key_of_udp(k, ip6 + 1, end);
}

SEC("cgroup_skb/ingress")
int arrives(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct flow_key k = {};
	__u32 *cpu;

	if (!sk || skb->ifindex == LOOPBACK_IFINDEX)
		return 1;
	cpu = bpf_sk_storage_get(&reader_cpu, sk, NULL, 0);
	/* Connected since, it is recorded when received. */
	if (!cpu || sk->state == TCP_ESTABLISHED)
		return 1;
	if (key_of_packet(&k, (const void *)(long)skb->data, (const void *)(long)skb->data_end,
			  (__be16)skb->protocol))
		flow_record(&k, *cpu);
	return 1;
}

static __always_inline int key_of_skb(struct flow_key *k, struct sk_buff *skb)
{
	const unsigned char *head = skb->head;
	struct ipv6hdr ip6;
	struct iphdr ip;
	__be16 port[2];

	if (bpf_probe_read_kernel(port, sizeof(port), head + skb->transport_header))
		return 0;
	k->ports = 1;
	k->sport = port[0];
	k->dport = port[1];
	k->proto = IPPROTO_UDP;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_probe_read_kernel(&ip, sizeof(ip), head + skb->network_header))
			return 0;
		k->saddr.w[0] = ip.saddr;
		k->daddr.w[0] = ip.daddr;
		k->version = 4;
		return !is_loopback4(ip.saddr);
	}
	if (bpf_probe_read_kernel(&ip6, sizeof(ip6), head + skb->network_header))
		return 0;
	key_set6(k, &ip6.saddr, &ip6.daddr);
	return 1;
}

SEC("fentry/skb_consume_udp")
int BPF_PROG(consumes, struct sock *sk, struct sk_buff *skb)
{
	struct flow_key k = {};

	if (is_udp(sk) && is_ours(sk) && key_of_skb(&k, skb))
		flow_record(&k, bpf_get_smp_processor_id());
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
