// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* receive.c - receives and checks what `sluice gen` sends. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cli/payload.h"
#include "cli/receive.h"

/* Longer than any Ethernet payload; not a power of two, so that buffers do not share cache sets. */
#define BUFFER_BYTES 9280u
#define BUFFER_BYTES_GRO 65600u
#define BATCH_MAX 1024u
/* How late a signal or an end may be noticed while nothing arrives, and while much does. */
#define WAIT_MS 20
#define LOOK_NS (5 * 1000000ull)
#define NS 1000000000ull

union receive_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

struct receive_buffers {
	struct mmsghdr vec[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	union receive_control control[BATCH_MAX];
	struct sluice_view view[BATCH_MAX];
	uint8_t pattern[BUFFER_BYTES];
	uint8_t *data;
	cpu_set_t cpus;
	uint64_t looked_ns, reported_ns, hopped_ns;
	bool stop;
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static struct receive_buffers *buffers_new(uint32_t batch, bool gro)
{
	struct receive_buffers *b = calloc(1, sizeof(*b));
	uint32_t bytes = gro ? BUFFER_BYTES_GRO : BUFFER_BYTES;

	if (!b)
		return NULL;
	b->data = aligned_alloc(64, (size_t)batch * bytes);
	if (!b->data) {
		free(b);
		return NULL;
	}
	for (uint32_t i = 0; i < batch; i++) {
		b->iov[i] = (struct iovec){ b->data + (size_t)i * bytes, bytes };
		b->vec[i].msg_hdr.msg_iov = &b->iov[i];
		b->vec[i].msg_hdr.msg_iovlen = 1;
	}
	for (uint32_t i = 0; i < BUFFER_BYTES; i++)
		b->pattern[i] = payload_byte(i);
	return b;
}

static void buffers_free(struct receive_buffers *b)
{
	if (!b)
		return;
	free(b->data);
	free(b);
}

static int bind_socket(int fd, const struct receive_plan *plan, uint16_t port)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int on = 1, err;

	if (plan->family == AF_INET) {
		if (plan->addr)
			memcpy(&sin.sin_addr, plan->addr, 4);
		err = bind(fd, (struct sockaddr *)&sin, sizeof(sin));
	} else {
		if (plan->addr)
			memcpy(&sin6.sin6_addr, plan->addr, 16);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		err = bind(fd, (struct sockaddr *)&sin6, sizeof(sin6));
	}
	return err ? -errno : 0;
}

static int open_socket(const struct receive_plan *plan, uint16_t port, const char **what)
{
	struct timeval wait = { .tv_usec = WAIT_MS * 1000 };
	int size = (int)plan->rcvbuf, on = 1, fd, err;

	*what = "open";
	fd = socket(plan->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (size && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*what = "UDP_GRO";
	if (plan->gro && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on))) {
		err = -errno;
		close(fd);
		return err;
	}
	*what = "bind";
	err = bind_socket(fd, plan, port);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int open_port(struct receive_port *p, const struct receive_plan *plan, const char **what)
{
	struct sluice_opts opts = {
		.dev = plan->dev,
		.lane_bytes = plan->lane_bytes,
		.flags = plan->require ? SLUICE_REQUIRE : 0,
	};
	int err;

	p->fd = open_socket(plan, p->port, what);
	if (p->fd < 0)
		return p->fd;
	if (plan->mode == RECEIVE_KERNEL)
		return 0;
	*what = "attach";
	err = sluice_attach(&p->sock, p->fd, &opts);
	if (err) {
		close(p->fd);
		p->fd = -1;
	}
	return err;
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

int receive_open(struct receive *r, const struct receive_plan *plan, uint16_t *port,
		 const char **what)
{
	int err;

	memset(r, 0, sizeof(*r));
	r->plan = *plan;
	r->plan.nports = 0;
	*port = 0;
	*what = "memory";
	r->buf = buffers_new(plan->batch, plan->gro);
	if (!r->buf || track_init(&r->track)) {
		buffers_free(r->buf);
		return -ENOMEM;
	}
	*what = "pin";
	err = sched_getaffinity(0, sizeof(r->buf->cpus), &r->buf->cpus) ? -errno : 0;
	if (!err && plan->cpu >= 0)
		err = pin(plan->cpu);
	for (uint32_t i = 0; !err && i < plan->nports; i++) {
		struct receive_port *p = &r->port[i];

		*port = p->port = (uint16_t)plan->ports[i];
		err = open_port(p, plan, what);
		if (!err)
			r->plan.nports++;
	}
	if (err)
		receive_close(r);
	return err;
}

void receive_close(struct receive *r)
{
	for (uint32_t i = 0; i < r->plan.nports; i++) {
		sluice_detach(r->port[i].sock);
		close(r->port[i].fd);
	}
	r->plan.nports = 0;
	track_free(&r->track);
	buffers_free(r->buf);
	r->buf = NULL;
}

static void check(struct receive *r, struct receive_port *p, const uint8_t *data, uint32_t len,
		  bool truncated)
{
	struct payload_head head;

	r->bytes += len;
	if (len < sizeof(head)) {
		r->foreign++;
		return;
	}
	memcpy(&head, data, sizeof(head));
	if (head.magic != htonl(PAYLOAD_MAGIC)) {
		r->foreign++;
		return;
	}
	if (truncated || len > BUFFER_BYTES) {
		r->malformed++;
		return;
	}
	if (r->plan.verify &&
	    memcmp(data + sizeof(head), r->buf->pattern + sizeof(head), len - sizeof(head)))
		r->corrupt++;
	track_add(&r->track, ntohl(head.run), ntohl(head.flow), p->port, ntohl(head.seq));
}

/* What came at once: a datagram, or several of gso_size bytes but for the last; how many. */
static int check_all(struct receive *r, struct receive_port *p, const uint8_t *data, uint32_t len,
		     uint32_t gso_size, bool truncated)
{
	int n = 1;

	r->merged += gso_size > 0;
	for (; gso_size && len > gso_size; n++, data += gso_size, len -= gso_size)
		check(r, p, data, gso_size, truncated);
	check(r, p, data, len, truncated);
	return n;
}

static uint32_t gso_size_of(struct msghdr *m)
{
	struct cmsghdr *h = CMSG_FIRSTHDR(m);
	int size = 0;

	if (h && h->cmsg_level == IPPROTO_UDP && h->cmsg_type == UDP_GRO)
		memcpy(&size, CMSG_DATA(h), sizeof(size));
	return (uint32_t)size;
}

/* The number of datagrams, 0 if none came, or -errno. */
static int receive_views(struct receive *r, struct receive_port *p)
{
	int n = sluice_peek(p->sock, r->buf->view, r->plan.batch), got = 0, err;

	if (n <= 0)
		return n == -EAGAIN || n == -EINTR ? 0 : n;
	for (int i = 0; i < n; i++)
		got += check_all(r, p, r->buf->view[i].data, r->buf->view[i].len,
				 r->buf->view[i].gso_size, false);
	err = sluice_release(p->sock, (unsigned int)n);
	return err ? err : got;
}

static int receive_messages(struct receive *r, struct receive_port *p, bool wait)
{
	int flags = wait ? MSG_WAITFORONE : MSG_DONTWAIT, got = 0, n;

	for (uint32_t i = 0; r->plan.gro && i < r->plan.batch; i++) {
		r->buf->vec[i].msg_hdr.msg_control = &r->buf->control[i];
		r->buf->vec[i].msg_hdr.msg_controllen = sizeof(r->buf->control[i]);
	}
	if (p->sock)
		n = sluice_recvmmsg(p->sock, r->buf->vec, r->plan.batch, flags, NULL);
	else if ((n = recvmmsg(p->fd, r->buf->vec, r->plan.batch, flags, NULL)) < 0)
		n = -errno;
	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 0 : n;
	for (int i = 0; i < n; i++)
		got += check_all(r, p, r->buf->iov[i].iov_base, r->buf->vec[i].msg_len,
				 gso_size_of(&r->buf->vec[i].msg_hdr),
				 r->buf->vec[i].msg_hdr.msg_flags & MSG_TRUNC);
	return got;
}

static int receive_batch(struct receive *r, struct receive_port *p, bool wait)
{
	int n = r->plan.mode == RECEIVE_VIEW ? receive_views(r, p) : receive_messages(r, p, wait);

	if (n > 0) {
		p->received += (uint64_t)n;
		r->received += (uint64_t)n;
	}
	return n;
}

static int wait_any(struct receive *r)
{
	struct pollfd fds[RECEIVE_PORTS];

	for (uint32_t i = 0; i < r->plan.nports; i++) {
		struct receive_port *p = &r->port[i];
		int fd = p->sock ? sluice_fd(p->sock) : p->fd;

		if (fd < 0)
			return fd;
		fds[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	return poll(fds, r->plan.nports, WAIT_MS) < 0 && errno != EINTR ? -errno : 0;
}

/* One batch of each port; sleeps only if none had anything. */
static int receive_round(struct receive *r)
{
	int total = 0;

	if (r->plan.nports == 1 && r->plan.mode != RECEIVE_VIEW)
		return receive_batch(r, &r->port[0], true);
	for (uint32_t i = 0; i < r->plan.nports; i++) {
		int n = receive_batch(r, &r->port[i], false);

		if (n < 0)
			return n;
		total += n;
	}
	return total ? total : wait_any(r);
}

static void hop(struct receive *r)
{
	int cpu = sched_getcpu();

	for (int i = 1; cpu >= 0 && i <= CPU_SETSIZE; i++) {
		int next = (cpu + i) % CPU_SETSIZE;

		if (!CPU_ISSET((size_t)next, &r->buf->cpus))
			continue;
		if (next != cpu && !pin(next))
			r->hops++;
		return;
	}
}

static void look_around(struct receive *r, void (*report)(const struct receive *r, void *arg),
			void *arg)
{
	struct receive_buffers *b = r->buf;
	struct timespec none = { 0 };
	int sig;

	if (r->now_ns - b->looked_ns < LOOK_NS)
		return;
	b->looked_ns = r->now_ns;
	while ((sig = sigtimedwait(&r->signals, NULL, &none)) > 0) {
		if (sig == SIGUSR1)
			hop(r);
		else
			b->stop = true;
	}
	if (r->plan.hop_ns && r->now_ns - b->hopped_ns >= r->plan.hop_ns) {
		b->hopped_ns += r->plan.hop_ns;
		hop(r);
	}
	if (r->plan.interval_ns && r->now_ns - b->reported_ns >= r->plan.interval_ns) {
		b->reported_ns += r->plan.interval_ns;
		report(r, arg);
	}
}

static bool ended(const struct receive *r)
{
	const struct receive_plan *plan = &r->plan;

	return r->buf->stop || (plan->count && r->received >= plan->count) ||
	       (plan->time_ns && r->now_ns - r->start_ns >= plan->time_ns) ||
	       (plan->idle_ns && r->last_ns && r->now_ns - r->last_ns >= plan->idle_ns);
}

int receive_run(struct receive *r, void (*report)(const struct receive *r, void *arg), void *arg)
{
	sigset_t before;
	int n = 0;

	sigemptyset(&r->signals);
	sigaddset(&r->signals, SIGINT);
	sigaddset(&r->signals, SIGTERM);
	sigaddset(&r->signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &r->signals, &before);
	r->start_ns = r->now_ns = r->buf->reported_ns = r->buf->hopped_ns = clock_ns();
	while (n >= 0 && !ended(r)) {
		n = receive_round(r);
		r->now_ns = clock_ns();
		if (n > 0) {
			r->last_ns = r->now_ns;
			if (!r->first_ns)
				r->first_ns = r->now_ns;
		}
		look_around(r, report, arg);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n < 0 ? n : 0;
}
