/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * gro_kernel.h - the kernel's GRO as an oracle: frames go in by one sendmmsg() on one
 * end of a veth pair and come out, merged, in a packet socket on the other.
 *
 * That they are one poll: the other end's NAPI is a thread on this process's CPU and of
 * lower real-time priority (an ordinary one would get its share in between), this process does not
 * sleep before the last frame is in the ring; and they are fewer than the weight, or polls of just
 * the weight and one of less. Where a packet was not merged, vnet_hdr still says
 * whether GRO has verified its checksum.
 */
#ifndef TEST_GRO_KERNEL_H
#define TEST_GRO_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vnetgso.h>

#include "../unit/gro_out.h"
#include "../unit/gro_stream.h"

#define GRO_KERNEL_WAIT_MS 2000

struct gro_kernel {
	int tx, rx;
};

/* Enters the namespace; prints what failed. */
static inline bool gro_kernel_enter(const char *netns)
{
	char path[256];
	int fd, err;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
	if (err)
		perror(path);
	if (fd >= 0)
		close(fd);
	return !err;
}

static inline int gro_kernel_socket(const char *dev, uint16_t protocol)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(dev),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		perror(dev);
		return -1;
	}
	return fd;
}

static inline bool gro_kernel_udp(int family, uint16_t port, bool gro)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0;

	if (family == AF_INET6)
		ok = ok && !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) &&
		     !bind(fd, (struct sockaddr *)&in6, sizeof(in6));
	else
		ok = ok && !bind(fd, (struct sockaddr *)&in, sizeof(in));
	return ok && (!gro || !setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)));
}

/* The sockets stay until the process ends. */
static inline bool gro_kernel_ports(void)
{
	bool ok = true;

	for (uint16_t i = 0; i < GRO_PORTS; i++)
		ok = ok && gro_kernel_udp(AF_INET, (uint16_t)(GRO_PORT_ASKED + i), true) &&
		     gro_kernel_udp(AF_INET6, (uint16_t)(GRO_PORT_ASKED + i), true) &&
		     gro_kernel_udp(AF_INET, (uint16_t)(GRO_PORT_OTHER + i), false) &&
		     gro_kernel_udp(AF_INET6, (uint16_t)(GRO_PORT_OTHER + i), false);
	if (!ok)
		perror("UDP sockets");
	return ok;
}

/* Ends in the receiving namespace. */
static inline bool gro_kernel_open(struct gro_kernel *k, const char *from_ns, const char *from_dev,
				   const char *to_ns, const char *to_dev)
{
	struct sched_param prio = { .sched_priority = 10 };
	int one = 1, bytes = 32 << 20;

	if (!gro_kernel_enter(from_ns))
		return false;
	k->tx = gro_kernel_socket(from_dev, 0);
	if (k->tx < 0 || !gro_kernel_enter(to_ns) || !gro_kernel_ports())
		return false;
	k->rx = gro_kernel_socket(to_dev, ETH_P_ALL);
	if (k->rx < 0)
		return false;
	if (setsockopt(k->rx, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(k->rx, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(k->rx, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(k->tx, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(k->tx, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    sched_setscheduler(0, SCHED_FIFO, &prio)) {
		perror("packet socket");
		return false;
	}
	return true;
}

static inline void gro_kernel_describe(struct gro_out *out, const struct virtio_net_hdr *h)
{
	static const uint8_t types[256] = {
		[VIRTIO_NET_HDR_GSO_TCPV4] = GRO_OUT_TCP4,
		[VIRTIO_NET_HDR_GSO_TCPV6] = GRO_OUT_TCP6,
		[VIRTIO_NET_HDR_GSO_UDP_L4] = GRO_OUT_UDP,
	};

	out->type = types[h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN];
	out->gso_size = h->gso_size;
	out->ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN;
	out->csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? GRO_CSUM_PARTIAL :
		    h->flags & VIRTIO_NET_HDR_F_DATA_VALID ? GRO_CSUM_RIGHT : GRO_CSUM_UNKNOWN;
}

/* One packet; false when none comes in time. */
static inline bool gro_kernel_recv(struct gro_kernel *k, struct gro_out *out)
{
	struct virtio_net_hdr h;
	struct iovec iov[2] = { { &h, sizeof(h) }, { out->data, GRO_OUT_BYTES } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	struct pollfd pfd = { .fd = k->rx, .events = POLLIN };
	ssize_t n = recvmsg(k->rx, &m, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		if (poll(&pfd, 1, GRO_KERNEL_WAIT_MS) != 1)
			return false;
		n = recvmsg(k->rx, &m, MSG_DONTWAIT);
	}
	if (n < (ssize_t)sizeof(h))
		return false;
	out->len = (uint32_t)n - (uint32_t)sizeof(h);
	gro_kernel_describe(out, &h);
	return true;
}

/* Frames in, packets out, until none is missing. Prints what failed. */
static inline bool gro_kernel_run(struct gro_kernel *k, struct gro_stream *st, struct gro_outs *o)
{
	struct mmsghdr vec[GRO_STREAM_MAX];
	struct iovec iov[GRO_STREAM_MAX];
	unsigned int left = st->nr;
	int sent;

	for (unsigned int i = 0; i < st->nr; i++) {
		iov[i] = (struct iovec){ st->frame[i].b, st->frame[i].len };
		vec[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	sent = sendmmsg(k->tx, vec, st->nr, 0);
	if (sent != (int)st->nr) {
		fprintf(stderr, "the kernel took %d of %u frames: %m\n", sent, st->nr);
		return false;
	}
	for (o->nr = 0; left; o->nr++) {
		unsigned int segs;

		if (o->nr == GRO_OUT_MAX || !gro_kernel_recv(k, &o->out[o->nr])) {
			fprintf(stderr, "%u of %u frames are missing\n", left, st->nr);
			return false;
		}
		segs = gro_out_segs(&o->out[o->nr]);
		if (segs > left) {
			fprintf(stderr, "more came out than went in\n");
			return false;
		}
		left -= segs;
	}
	return true;
}

#endif
