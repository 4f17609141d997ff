// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * Views. Those of lane records point into the lane. Kernel datagrams are read
 * into the stash; what a release leaves there comes before everything else in
 * the next call, of whatever kind.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "lib.h"

/* One recvmmsg fetches so many; only pages that were used take memory. */
#define STASH_SLOTS 16
#define STASH_DATA 65536	/* the largest datagram, merged ones included, is smaller */
#define STASH_CONTROL 512

struct stash_slot {
	struct sockaddr_storage name;
	struct iovec iov;
	_Alignas(struct cmsghdr) uint8_t control[STASH_CONTROL];
	uint8_t data[STASH_DATA];
};

struct stash {
	unsigned int at, n;	/* vec[at .. n) wait to be received */
	struct mmsghdr vec[STASH_SLOTS];
	struct stash_slot slot[STASH_SLOTS];
};

unsigned int lib_stash_left(const struct live *l)
{
	return l->stash ? l->stash->n - l->stash->at : 0;
}

const struct mmsghdr *lib_stash_first(const struct live *l)
{
	return &l->stash->vec[l->stash->at];
}

void lib_stash_drop(struct live *l, unsigned int n)
{
	l->stash->at += n;
}

void lib_stash_free(struct live *l)
{
	free(l->stash);
	l->stash = NULL;
}

static int stash_fill(struct sluice_sock *s, unsigned int n)
{
	struct live *l = s->live;
	struct stash *st = l->stash;
	int got;

	if (!st) {
		/* malloc: a page of it becomes real only when a datagram lands there */
		st = malloc(sizeof(*st));
		if (!st)
			return -ENOMEM;
		l->stash = st;
	}
	st->at = st->n = 0;
	if (n > STASH_SLOTS)
		n = STASH_SLOTS;
	for (unsigned int i = 0; i < n; i++) {
		struct stash_slot *slot = &st->slot[i];

		slot->iov = (struct iovec){ .iov_base = slot->data, .iov_len = STASH_DATA };
		st->vec[i].msg_hdr = (struct msghdr){
			.msg_name = &slot->name, .msg_namelen = sizeof(slot->name),
			.msg_iov = &slot->iov, .msg_iovlen = 1,
			.msg_control = slot->control, .msg_controllen = STASH_CONTROL,
		};
	}
	got = recvmmsg(s->fd, st->vec, n, MSG_DONTWAIT, NULL);
	lib_kernel_read(l, got > 0 ? (unsigned int)got : 0);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	st->n = (unsigned int)got;
	return 0;
}

static void view_from(struct sluice_view *v, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *sin6 = (const void *)from;
	const struct sockaddr_in *sin = (const void *)from;

	if (from->ss_family == AF_INET) {
		v->version = 4;
		v->sport = sin->sin_port;
		memcpy(v->saddr, &sin->sin_addr, sizeof(sin->sin_addr));
		return;
	}
	v->sport = sin6->sin6_port;
	if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
		v->version = 4;
		memcpy(v->saddr, sin6->sin6_addr.s6_addr + 12, 4);
	} else {
		v->version = 6;
		memcpy(v->saddr, &sin6->sin6_addr, sizeof(sin6->sin6_addr));
	}
}

static void view_cmsg(struct sluice_view *v, const struct cmsghdr *h)
{
	const void *data = CMSG_DATA(h);
	struct in_pktinfo info;
	struct in6_pktinfo info6;
	struct timespec ts;
	struct timeval tv;
	int size;

	if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&ts, data, sizeof(ts));
		v->tstamp = (uint64_t)(ts.tv_sec * LIB_NSEC + ts.tv_nsec);
	} else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMP) {
		memcpy(&tv, data, sizeof(tv));
		v->tstamp = (uint64_t)(tv.tv_sec * LIB_NSEC + tv.tv_usec * 1000);
	} else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
		memcpy(&info, data, sizeof(info));
		v->ifindex = (uint32_t)info.ipi_ifindex;
	} else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
		memcpy(&info6, data, sizeof(info6));
		v->ifindex = info6.ipi6_ifindex;
	} else if (h->cmsg_level == IPPROTO_UDP && h->cmsg_type == UDP_GRO) {
		memcpy(&size, data, sizeof(size));
		v->gso_size = (uint16_t)size;
	}
}

static unsigned int stash_views(struct live *l, struct sluice_view *views, unsigned int n)
{
	struct stash *st = l->stash;
	unsigned int i;

	for (i = 0; i < n && st->at + i < st->n; i++) {
		struct mmsghdr *m = &st->vec[st->at + i];
		struct stash_slot *slot = &st->slot[st->at + i];

		views[i] = (struct sluice_view){ .data = slot->data, .len = m->msg_len };
		view_from(&views[i], &slot->name);
		for (struct cmsghdr *h = CMSG_FIRSTHDR(&m->msg_hdr); h;
		     h = CMSG_NXTHDR(&m->msg_hdr, h))
			view_cmsg(&views[i], h);
	}
	return i;
}

static unsigned int lane_views(struct live *l, struct sluice_view *views, unsigned int n)
{
	uint64_t pos = l->lane.pos, next = pos;
	const struct sluice_rec *rec;
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct sluice_view *v = &views[i];

		rec = lib_lane_at(&l->lane, &pos, &next);
		if (!rec)
			break;
		v->data = rec + 1;
		v->len = rec->len;
		v->hash = rec->hash;
		v->tstamp = rec->tstamp;
		v->ifindex = rec->ifindex;
		v->gso_size = rec->gso_size;
		v->sport = rec->sport;
		v->version = rec->version;
		memset(v->pad, 0, sizeof(v->pad));
		memcpy(v->saddr, rec->saddr, sizeof(v->saddr));
		pos = next;
	}
	l->held_end = pos;
	return i;
}

static int peek(struct sluice_sock *s, struct sluice_view *views, unsigned int n)
{
	struct live *l = s->live;
	int err = l->err;

	if (l->held)
		return -EBUSY;
	l->err = 0;
	if (err)
		return err;
	if (!lib_stash_left(l) &&
	    (lib_lane_empty(&l->lane) || l->peeked == LIB_KERNEL ||
	     (l->peeked != LIB_LANE && lib_kernel_due(l))))
		err = stash_fill(s, n);
	l->held_stash = lib_stash_left(l);
	l->held = l->held_stash ? stash_views(l, views, n) : lane_views(l, views, n);
	if (l->lane.bad && !l->dead)
		lib_lane_dead(s, "the lane was damaged");
	if (l->held) {
		l->err = err;
		return (int)l->held;
	}
	lib_lane_publish(&l->lane);
	return err ? err : -EAGAIN;
}

int sluice_peek(struct sluice_sock *s, struct sluice_view *views, unsigned int n)
{
	int ret;

	if (!n || n > INT32_MAX)
		return -EINVAL;
	pthread_mutex_lock(&s->live->lock);
	ret = peek(s, views, n);
	if (ret < 0 && ret != -EBUSY)
		lib_settle(s, true);
	pthread_mutex_unlock(&s->live->lock);
	return ret;
}

static void lane_release(struct live *l, unsigned int n)
{
	uint64_t next;

	l->since_kernel += n;
	l->lane_datagrams += n;
	if (n == l->held) {
		l->lane.pos = l->held_end;
	} else {
		while (n-- && lib_lane_at(&l->lane, &l->lane.pos, &next))
			l->lane.pos = next;
	}
	lib_lane_publish(&l->lane);
}

int sluice_release(struct sluice_sock *s, unsigned int n)
{
	struct live *l = s->live;
	int err = -EINVAL;

	pthread_mutex_lock(&l->lock);
	if (n > l->held)
		goto out;
	err = 0;
	if (l->held_stash)
		lib_stash_drop(l, n);
	else
		lane_release(l, n);
	l->held = 0;
	l->held_stash = false;
	if (n)
		l->peeked = LIB_NONE;
	lib_settle(s, false);
out:
	pthread_mutex_unlock(&l->lock);
	return err;
}
