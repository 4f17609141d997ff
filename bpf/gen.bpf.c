// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * gen.bpf.c - the traffic generator behind `sluice gen`.
 *
 *   BPF_PROG_TEST_RUN, live frames --> gen_xmit --> bpf_redirect(ifindex)
 *                                                     |
 *                               gen_count  <--  xdp_devmap_xmit (per bulk of <= 16)
 *
 * gen_xmit runs in one instance of this object per thread, so its state has one
 * writer and needs no lock. gen_count runs in an instance of its own.
 *
 * Live frames are recycled pages, with whatever the receiver left in them: the
 * headers are written anew into each. The rest of the payload never changes.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "../user/cli/payload.h"

/* Offset of the UDP payload without VLAN tag, IP options or extension headers. */
#define PAYLOAD_AT4 (14 + 20 + 8)
#define PAYLOAD_AT6 (14 + 40 + 8)

/* Written before the program is loaded. */
const volatile __u32 ifindex;
const volatile __u32 payload_at;	/* PAYLOAD_AT4 or PAYLOAD_AT6 */
const volatile __u64 head[9]; /* the frame's first 72 bytes, with 0 in the variable fields */
const volatile __u32 csum;		/* base of payload_csum() */
const volatile __u32 flow_first;	/* this instance's flows: [flow_first, flow_end) */
const volatile __u32 flow_end;
const volatile __u32 sport;		/* of flow 0, host order */
const volatile __u32 dports;
const volatile __u16 dport[PAYLOAD_PORTS];	/* network order; flow f uses dport[f % dports] */

/* gen_xmit: the next frame. User space sets flow and dport_at to their first value. */
__u32 flow;
__u32 seq;
__u32 dport_at;
__u64 offered;

/* Advances from one flow to the next and, after the last one, to the next sequence number. */
static __always_inline void next_frame(void)
{
	offered++;
	if (++dport_at == dports)
		dport_at = 0;
	if (++flow == flow_end) {
		flow = flow_first;
		dport_at = flow_first % dports;
		seq++;
	}
}

static __always_inline int emit(struct xdp_md *ctx, const __u32 at)
{
	void *data = (void *)(long)ctx->data;
	struct payload_head *payload = data + at;
	__be16 *udp = data + at - 8;
	__be16 from = bpf_htons(sport + flow), to = dport[dport_at & (PAYLOAD_PORTS - 1)];
	__be32 be_flow = bpf_htonl(flow), be_seq = bpf_htonl(seq);
	__u64 *word = data;

	if ((void *)(payload + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	/* Up to run; the last word reaches into flow or seq, which come next. */
#pragma unroll
	for (__u32 i = 0; i < (at + 8 + 7) / 8; i++)
		word[i] = head[i];
	udp[0] = from;
	udp[1] = to;
	udp[3] = payload_csum(csum, from, to, be_flow, be_seq);
	payload->flow = be_flow;
	payload->seq = be_seq;
	next_frame();
	return bpf_redirect(ifindex, 0);
}

SEC("xdp")
int gen_xmit(struct xdp_md *ctx)
{
	return payload_at == PAYLOAD_AT4 ? emit(ctx, PAYLOAD_AT4) : emit(ctx, PAYLOAD_AT6);
}

/*
 * What the device took of our frames. The tracepoint sees every devmap flush of
 * the machine: ours come from this process, go to our device, and name the
 * loopback device (index 1) of the same namespace as the one they came from.
 */
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

const volatile __u64 netns_cookie;
const volatile __u64 pidns_dev;
const volatile __u64 pidns_ino;
const volatile __u32 tgid;

__u64 sent;
__u64 refused;
__s32 last_error;	/* of the last flush that the device did not take completely */

SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(gen_count, const struct net_device *from, const struct net_device *to, int n_sent,
	     int n_drops, int err)
{
	struct bpf_pidns_info pid = {};

	if ((__u32)to->ifindex != ifindex || from->ifindex != 1 ||
	    to->nd_net.net->net_cookie != netns_cookie)
		return 0;
	if (bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &pid, sizeof(pid)) ||
	    pid.tgid != tgid)
		return 0;
	if (n_sent > 0)
		__sync_fetch_and_add(&sent, (__u64)n_sent);
	if (n_drops > 0) {
		__sync_fetch_and_add(&refused, (__u64)n_drops);
		if (err)
			last_error = err;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
