// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* diag.c - udp_diag dumps of one port, or of all; see diag.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "daemon/diag.h"

/* The kernel fills as much as is offered, up to 32 KiB: fewer calls where sockets are many. */
#define BUF_BYTES 32768
/* Dumps of an interrupted table before giving up. Each is over in well under a millisecond. */
#define TRIES 8

struct result {
	struct diag_sock *out;
	unsigned int max;
	unsigned int n;
	uint16_t port;		/* 0: all */
	bool grow;		/* out is ours, and made to hold all n */
	bool no_memory;
	bool interrupted;
};

int diag_open(struct diag *d)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int err;

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		mnl_socket_close(nl);
		return err;
	}
	*d = (struct diag){ .nl = nl };
	return 0;
}

void diag_close(struct diag *d)
{
	if (d->nl)
		mnl_socket_close(d->nl);
	d->nl = NULL;
}

static struct sluice_addr addr_of(uint8_t family, const __be32 w[4])
{
	struct sluice_addr addr;

	if (family == AF_INET)
		return (struct sluice_addr){ { 0, 0, htonl(0xffff), w[0] } };
	memcpy(addr.w, w, sizeof(addr.w));
	return addr;
}

/* The kernel reports INET_DIAG_SKV6ONLY unasked. */
static bool sock_v6only(const struct nlmsghdr *nlh)
{
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(nlh, sizeof(struct inet_diag_msg));
	const char *end = mnl_nlmsg_get_payload_tail(nlh);

	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == INET_DIAG_SKV6ONLY &&
		    mnl_attr_get_payload_len(attr) >= 1)
			return mnl_attr_get_u8(attr) != 0;
	return false;
}

static void result_grow(struct result *r)
{
	unsigned int max = r->max ? 2 * r->max : 256;
	struct diag_sock *out = reallocarray(r->out, max, sizeof(*out));

	if (!out) {
		r->no_memory = true;
		return;
	}
	r->out = out;
	r->max = max;
}

static void sock_parse(const struct nlmsghdr *nlh, struct result *r)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	uint16_t port;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*msg))
		return;
	/* idiag_sport is 0 until bind(2) is over; the filter compares inet_num. */
	port = r->port ? r->port : ntohs(msg->id.idiag_sport);
	if (!port)
		return;
	if (r->n == r->max && r->grow)
		result_grow(r);
	if (r->n++ >= r->max)
		return;
	r->out[r->n - 1] = (struct diag_sock){
		.cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0],
		.local = addr_of(msg->idiag_family, msg->id.idiag_src),
		.peer = addr_of(msg->idiag_family, msg->id.idiag_dst),
		.port = port,
		.peer_port = ntohs(msg->id.idiag_dport),
		.family = msg->idiag_family,
		.state = msg->idiag_state,
		.v6only = sock_v6only(nlh),
		.ifindex = msg->id.idiag_if,
		.uid = msg->idiag_uid,
		.inode = msg->idiag_inode,
	};
}

static int request_send(struct diag *d, uint8_t family, uint16_t port)
{
	const struct inet_diag_bc_op filter[2] = {
		/* `no` leads past the end, which means: not this one. */
		{ .code = INET_DIAG_BC_S_EQ, .yes = sizeof(filter), .no = sizeof(filter) + 4 },
		{ .code = INET_DIAG_BC_NOP, .no = port },
	};
	struct inet_diag_req_v2 *req;
	struct nlmsghdr *nlh;
	char buf[256];

	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++d->seq;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_UDP;
	req->idiag_states = ~0u;
	if (port)
		mnl_attr_put(nlh, INET_DIAG_REQ_BYTECODE, sizeof(filter), filter);
	return mnl_socket_sendto(d->nl, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

/*
 * One buffer of the answer. 1: the dump goes on; 0: it is complete; -errno.
 * libmnl's mnl_cb_run() would stop at the first message of an interrupted dump
 * and lose sight of its end.
 */
static int answer_parse(const struct diag *d, const void *buf, int len, struct result *r)
{
	const struct nlmsghdr *nlh;

	for (nlh = buf; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_seq != d->seq || nlh->nlmsg_pid != mnl_socket_get_portid(d->nl))
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			r->interrupted = true;
		/* Both begin with an error number, 0 for none. */
		if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR)
			return mnl_nlmsg_get_payload_len(nlh) < sizeof(int) ?
				       -EBADMSG : *(const int *)mnl_nlmsg_get_payload(nlh);
		if (nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			sock_parse(nlh, r);
	}
	return 1;
}

static int dump(struct diag *d, uint8_t family, struct result *r)
{
	_Alignas(struct nlmsghdr) char buf[BUF_BYTES];
	ssize_t len;
	int err;

	err = request_send(d, family, r->port);
	if (err)
		return err;
	r->interrupted = false;
	do {
		do {
			len = mnl_socket_recvfrom(d->nl, buf, sizeof(buf));
		} while (len < 0 && errno == EINTR);
		if (len < 0)
			return -errno;
		err = answer_parse(d, buf, (int)len, r);
	} while (err > 0);
	return !err && r->interrupted ? -EAGAIN : err;
}

/* IPv6 first: IPV6_ADDRFORM turns a socket into an IPv4 one, never back. */
static int dump_both(struct diag *d, struct result *r)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	int i, err = -EAGAIN;

	for (i = 0; i < TRIES && err == -EAGAIN; i++) {
		if (i)
			nanosleep(&pause, NULL);
		r->n = 0;
		err = dump(d, AF_INET6, r);
		if (!err)
			err = dump(d, AF_INET, r);
	}
	return err;
}

int diag_udp(struct diag *d, uint16_t port, struct diag_sock *out, unsigned int max)
{
	struct result r = { .out = out, .max = max, .port = port };
	int err = port ? dump_both(d, &r) : 0;

	return err ? err : (int)r.n;
}

int diag_udp_all(struct diag *d, void (*each)(void *ctx, const struct diag_sock *), void *ctx)
{
	struct result r = { .grow = true };
	int err = dump_both(d, &r);
	unsigned int i;

	if (!err && r.no_memory)
		err = -ENOMEM;
	for (i = 0; i < r.n && !err; i++)
		each(ctx, &r.out[i]);
	free(r.out);
	return err;
}
