// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* Control messages: those that the kernel would make for a record, in its order and layout. */
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "lib.h"

/* Where the next control message goes; `flags` collects MSG_CTRUNC. */
struct control {
	uint8_t *at;
	size_t left;
	int flags;
};

/* As put_cmsg(): one that fits in part is cut, one without room for its header is left out. */
static void put_cmsg(struct control *c, int level, int type, const void *data, size_t len)
{
	struct cmsghdr h = { .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len) };
	size_t space = CMSG_SPACE(len);

	if (!c->at || c->left < sizeof(h)) {
		c->flags |= MSG_CTRUNC;
		return;
	}
	if (c->left < h.cmsg_len) {
		c->flags |= MSG_CTRUNC;
		h.cmsg_len = c->left;
	}
	memcpy(c->at, &h, sizeof(h));
	memcpy(c->at + sizeof(h), data, h.cmsg_len - sizeof(h));
	if (space > c->left)
		space = c->left;
	c->at += space;
	c->left -= space;
}

static void rec_tstamp(const struct sluice_sock *s, const struct sluice_rec *rec, struct control *c)
{
	struct timespec ts = { .tv_sec = (time_t)(rec->tstamp / (uint64_t)LIB_NSEC),
			       .tv_nsec = (long)(rec->tstamp % (uint64_t)LIB_NSEC) };
	struct timeval tv;

	/* As Linux: a datagram that was not stamped on its way is stamped now. */
	if (!rec->tstamp)
		clock_gettime(CLOCK_REALTIME, &ts);
	if (s->cmsgs & LIB_CMSG_TSTAMPNS) {
		put_cmsg(c, SOL_SOCKET, SCM_TIMESTAMPNS, &ts, sizeof(ts));
		return;
	}
	tv = (struct timeval){ .tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000 };
	put_cmsg(c, SOL_SOCKET, SCM_TIMESTAMP, &tv, sizeof(tv));
}

static void rec_ip4(const struct sluice_sock *s, const struct sluice_rec *rec, struct control *c)
{
	int ttl = rec->ttl;

	if (s->cmsgs & LIB_CMSG_PKTINFO) {
		struct in_pktinfo info = { .ipi_ifindex = (int)rec->ifindex };

		memcpy(&info.ipi_addr, rec->daddr, sizeof(info.ipi_addr));
		info.ipi_spec_dst = info.ipi_addr;
		put_cmsg(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	if (s->cmsgs & LIB_CMSG_TTL)
		put_cmsg(c, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	if (s->cmsgs & LIB_CMSG_TOS)
		put_cmsg(c, IPPROTO_IP, IP_TOS, &rec->tos, sizeof(rec->tos));
}

static void rec_pktinfo6(const struct sluice_rec *rec, struct control *c)
{
	struct in6_pktinfo info = { .ipi6_ifindex = rec->ifindex };

	if (rec->version == 4) {
		info.ipi6_addr.s6_addr[10] = info.ipi6_addr.s6_addr[11] = 0xff;
		memcpy(info.ipi6_addr.s6_addr + 12, rec->daddr, 4);
	} else {
		memcpy(&info.ipi6_addr, rec->daddr, sizeof(info.ipi6_addr));
	}
	put_cmsg(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

/* In the order of udp_recvmsg() and udpv6_recvmsg(). */
void lib_cmsg_rec(const struct sluice_sock *s, const struct sluice_rec *rec, struct msghdr *m)
{
	struct control c = { .at = m->msg_control, .left = m->msg_controllen };
	uint32_t drops = (uint32_t)__atomic_load_n(&s->live->lane.head->drops, __ATOMIC_RELAXED);
	int gso = rec->gso_size, hops = rec->ttl, tclass = rec->tos;

	if (s->cmsgs & (LIB_CMSG_TSTAMP | LIB_CMSG_TSTAMPNS))
		rec_tstamp(s, rec, &c);
	if ((s->cmsgs & LIB_CMSG_RXQ_OVFL) && drops)
		put_cmsg(&c, SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof(drops));
	if ((s->cmsgs & LIB_CMSG_GRO) && gso)
		put_cmsg(&c, IPPROTO_UDP, UDP_GRO, &gso, sizeof(gso));
	if (s->cmsgs & LIB_CMSG_PKTINFO6)
		rec_pktinfo6(rec, &c);
	if (rec->version == 4)
		rec_ip4(s, rec, &c);
	if (rec->version != 4 && (s->cmsgs & LIB_CMSG_HOPLIMIT))
		put_cmsg(&c, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof(hops));
	if (rec->version != 4 && (s->cmsgs & LIB_CMSG_TCLASS))
		put_cmsg(&c, IPPROTO_IPV6, IPV6_TCLASS, &tclass, sizeof(tclass));
	m->msg_controllen = c.at ? (size_t)(c.at - (uint8_t *)m->msg_control) : 0;
	m->msg_flags |= c.flags;
}

void lib_cmsg_copy(const struct msghdr *from, struct msghdr *m)
{
	struct control c = { .at = m->msg_control, .left = m->msg_controllen };
	struct msghdr src = *from;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(&src); h; h = CMSG_NXTHDR(&src, h))
		put_cmsg(&c, h->cmsg_level, h->cmsg_type, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
	m->msg_controllen = c.at ? (size_t)(c.at - (uint8_t *)m->msg_control) : 0;
	m->msg_flags |= c.flags | (from->msg_flags & MSG_CTRUNC);
}
