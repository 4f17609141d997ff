// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/answer.h"
#include "daemon/bypass.h"
#include "daemon/deadline.h"
#include "daemon/device_worker.h"
#include "daemon/settings.h"
#include "daemon/taps.h"
#include "daemon/workers.h"

/* Requests of one client in a row, so that a busy one does not keep out the others. */
#define REQUESTS_AT_ONCE 16
/* How long a resize waits for the one before to settle. Most do within some grace periods. */
#define CHANGE_MS 2000
/* While something is under way: each step takes a grace period by itself. */
#define TICK_MS 1

static struct sluice_ctl_msg answer_to(const struct sluice_ctl_msg *request, uint16_t type)
{
	return (struct sluice_ctl_msg){
		.magic = SLUICE_CTL_MAGIC,
		.version = SLUICE_CTL_VERSION,
		.type = type,
		.id = request->id,
		.lane = request->lane,
	};
}

__attribute__((format(printf, 4, 5)))
static int refuse(struct client *client, const struct sluice_ctl_msg *request, int error,
		  const char *format, ...)
{
	struct sluice_ctl_msg msg = answer_to(request, SLUICE_CTL_REFUSED);
	va_list args;

	msg.u.refused.error = error;
	va_start(args, format);
	vsnprintf(msg.u.refused.text, sizeof(msg.u.refused.text), format, args);
	va_end(args);
	return porter_reply(client->fd, &msg, NULL, 0);
}

static struct attached *find_slot(struct client *client, uint32_t slot)
{
	for (struct attached *a = client->first; a; a = a->next) {
		if (a->slot == slot)
			return a;
	}
	return NULL;
}

/*
 * What can be said of the socket before the kernel's tables are looked at. 0, or a positive errno
 * and why.
 */
static int check_facts(const struct control *c, const struct client *client,
		       const struct porter_facts *facts, const char **why)
{
	if (facts->error) {
		*why = "the descriptor is no UDP socket";
		return facts->error;
	}
	if (facts->netns_cookie != porter_netns_cookie(c->porter)) {
		*why = "the socket is of another network namespace than the daemon's: run sluiced "
		       "in that one";
		return EPERM;
	}
	/*
	 * What a process may do now says nothing of the one that connected: it could have become
	 * another program. Only CAP_NET_ADMIN or CAP_NET_RAW over the namespace sets this option.
	 */
	if (c->dev->steer.config.mirror && client->uid && !facts->transparent) {
		*why = "in role mirror sockets see the traffic of others: attach as root, or set "
		       "IP_TRANSPARENT on the socket (CAP_NET_ADMIN)";
		return EPERM;
	}
	if (!facts->port) {
		*why = "the socket is not bound: bind it to a port first";
		return EDESTADDRREQ;
	}
	if (facts->filter) {
		*why = facts->filter < 0 ?
		       "the socket has an eBPF filter, which cannot be honoured: detach it" :
		       "the socket has a filter (SO_ATTACH_FILTER), which is not honoured yet: "
		       "detach it";
		return EOPNOTSUPP;
	}
	if (facts->encap) {
		*why = "the socket is an encapsulation socket (UDP_ENCAP), whose traffic is the "
		       "kernel's";
		return EOPNOTSUPP;
	}
	if (ports_find(c->ports, facts->port, facts->cookie)) {
		*why = "the socket is already attached: detach it first";
		return EALREADY;
	}
	return 0;
}

static void attached_free(struct client *client, struct attached *a)
{
	lane_destroy(&a->sk.lane);
	if (a->sk.lane.wake_fd >= 0)
		close(a->sk.lane.wake_fd);
	sock_destroy(&a->sk);
	lanemem_free(&client->mem, a->slot);
	free(a);
}

/* A socket with its lane, not yet known to anyone. wake[1] is the client's end. */
static int attached_new(struct control *c, struct client *client, const struct porter_facts *facts,
			uint32_t ring_bytes, struct attached **out, int *wake_client)
{
	struct attached *a = calloc(1, sizeof(*a));
	int slot, wake[2], err;

	if (!a)
		return -ENOMEM;
	slot = lanemem_alloc(&client->mem, ring_bytes);
	if (slot < 0) {
		free(a);
		return slot;
	}
	a->client = client;
	a->slot = (uint32_t)slot;
	a->port = facts->port;
	a->reuseport = facts->reuseport;
	a->sk.lane.wake_fd = -1;
	err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, wake) ? -errno : 0;
	if (!err) {
		err = sock_init(&a->sk, facts->cookie, c->dev->max_workers);
		if (!err)
			err = lane_init(&a->sk.lane, client->mem.slot[slot].head,
					&client->mem.ctl[slot],
					ring_bytes, wake[0], &c->dev->engine->rfs);
		if (err) {
			close(wake[0]);
			close(wake[1]);
			a->sk.lane.wake_fd = -1;
		}
	}
	if (err) {
		attached_free(client, a);
		return err;
	}
	*out = a;
	*wake_client = wake[1];
	return 0;
}

static int reply_attached(struct client *client, const struct sluice_ctl_msg *request,
			  const struct attached *a, int wake_client)
{
	struct sluice_ctl_msg msg = answer_to(request, SLUICE_CTL_ATTACHED);
	int fds[3] = { client->mem.data_ro_fd, client->mem.ctl_fd, wake_client };

	msg.lane = a->slot;
	msg.u.attached.data_offset = client->mem.slot[a->slot].offset;
	msg.u.attached.ctl_offset = a->slot * sizeof(struct sluice_lane_ctl);
	msg.u.attached.ring_bytes = a->sk.lane.size;
	msg.u.attached.state = (uint32_t)a->state;
	if (a->why[0])
		snprintf(msg.u.attached.text, sizeof(msg.u.attached.text), "%s", a->why);
	else
		bypass_describe(msg.u.attached.text, sizeof(msg.u.attached.text));
	return porter_reply(client->fd, &msg, fds, 3);
}

static int serve_attach(struct control *c, struct client *client,
			const struct porter_request *request)
{
	const struct sluice_ctl_msg *msg = &request->msg;
	uint32_t ring_bytes = msg->u.attach.lane_bytes ?: SLUICE_LANE_DEFAULT;
	const char *why = NULL;
	struct attached *a = NULL;
	int err, wake_client = -1;

	err = check_facts(c, client, &request->facts, &why);
	if (!err && client->tap) {
		err = EBUSY;
		why = "this connection has a tap: use one of its own";
	}
	if (err)
		return refuse(client, msg, err, "%s", why);
	if (ring_bytes < SLUICE_LANE_MIN || ring_bytes > SLUICE_LANE_MAX ||
	    (ring_bytes & (ring_bytes - 1)))
		return refuse(client, msg, EINVAL,
			      "lane of %u bytes: a power of two from %u to %u is needed", ring_bytes,
			      SLUICE_LANE_MIN, SLUICE_LANE_MAX);
	if (msg->u.attach.flags & ~SLUICE_ATTACH_GRO)
		return refuse(client, msg, EINVAL, "flags that this daemon does not know: 0x%x",
			      msg->u.attach.flags);
	err = attached_new(c, client, &request->facts, ring_bytes, &a, &wake_client);
	if (err)
		return refuse(client, msg, -err, "no memory for another lane: this program's lanes "
			      "may hold %llu MiB", LANEMEM_MAX >> 20);
	a->sk.gro = msg->u.attach.flags & SLUICE_ATTACH_GRO;
	err = ports_attach(c->ports, a);
	if (err) {
		err = refuse(client, msg, -a->error, "%s", a->why);
		attached_free(client, a);
	} else {
		a->next = client->first;
		client->first = a;
		err = reply_attached(client, msg, a, wake_client);
	}
	close(wake_client);
	return err;
}

static void attached_remove(struct control *c, struct client *client, struct attached *a)
{
	struct attached **link = &client->first;

	while (*link != a)
		link = &(*link)->next;
	*link = a->next;
	ports_detach(c->ports, a);
	attached_free(client, a);
}

static int serve_lane(struct control *c, struct client *client,
		      const struct sluice_ctl_msg *request)
{
	struct attached *a = find_slot(client, request->lane);
	struct sluice_ctl_msg done = answer_to(request, SLUICE_CTL_DONE);

	if (!a)
		return refuse(client, request, ENOENT, "this connection has no lane %u",
			      request->lane);
	if (request->type == SLUICE_CTL_STOP)
		ports_stop(c->ports, a);
	else
		attached_remove(c, client, a);
	return porter_reply(client->fd, &done, NULL, 0);
}

static bool query_is_for_root(const struct sluice_ctl_msg *request)
{
	uint32_t what = request->u.query.what;

	if (what == SLUICE_QUERY_FLOW)
		return request->u.query.flows.part > 0;
	return what == SLUICE_QUERY_RULE || what == SLUICE_QUERY_RPS ||
	       what == SLUICE_QUERY_WORKER || what == SLUICE_QUERY_EXPLAIN;
}

static int serve_query(struct control *c, struct client *client,
		       const struct sluice_ctl_msg *request)
{
	struct sluice_ctl_msg msg = answer_to(request, SLUICE_CTL_ANSWER);
	int fd, err;

	if (client->uid && query_is_for_root(request))
		return refuse(client, request, EPERM,
			      "only root may ask for rules, settings and single flows: use sudo");
	fd = answer_query(c, request);
	if (fd == -EINVAL)
		return refuse(client, request, EINVAL, "this daemon knows no query %u",
			      request->u.query.what);
	if (fd < 0)
		return refuse(client, request, -fd, "cannot answer: %s", strerror(-fd));
	err = porter_reply(client->fd, &msg, &fd, 1);
	close(fd);
	return err;
}

/* 0: done, with a note or ""; -EAGAIN, -EINPROGRESS: see change_step(); else why it cannot be. */
static int change_begin(struct control *c, const struct sluice_ctl_msg *request, char *text)
{
	int err;

	*text = 0;
	if (request->type == SLUICE_CTL_RULE)
		return rules_serve(&c->rules, c->dev, request, text, SLUICE_CTL_TEXT);
	if (c->change.active) {
		snprintf(text, SLUICE_CTL_TEXT,
			 "another change is under way: try again in a moment");
		return -EBUSY;
	}
	if (request->type == SLUICE_CTL_WORKER)
		return workers_serve(c->dev, request, text, SLUICE_CTL_TEXT);
	if (request->u.rps.what == SLUICE_RPS_ARFS)
		return accel_set(c->accel, c->dev, request->u.rps.entries, text, SLUICE_CTL_TEXT);
	err = settings_serve(c->dev, request, text, SLUICE_CTL_TEXT);
	c->settling = true;
	return err;
}

/* -EAGAIN: not yet, and it may take too long; -EINPROGRESS: not yet, but it will come to an end. */
static int change_step(struct control *c)
{
	struct change *change = &c->change;

	if (change->request.type == SLUICE_CTL_WORKER)
		return workers_step(c->dev, change->note, sizeof(change->note));
	return settings_serve(c->dev, &change->request, change->note, sizeof(change->note));
}

static int change_answer(struct client *client, const struct sluice_ctl_msg *request, int err,
			 const char *text)
{
	struct sluice_ctl_msg done = answer_to(request, SLUICE_CTL_DONE);

	if (err)
		return refuse(client, request, -err, "%s", text[0] ? text : strerror(-err));
	snprintf(done.u.done.text, sizeof(done.u.done.text), "%s", text);
	return porter_reply(client->fd, &done, NULL, 0);
}

static int serve_change(struct control *c, struct client *client,
			const struct sluice_ctl_msg *request)
{
	char text[SLUICE_CTL_TEXT];
	int err;

	if (client->uid)
		return refuse(client, request, EPERM,
			      "only root may change rules, settings and workers: use sudo");
	err = change_begin(c, request, text);
	if (err != -EAGAIN && err != -EINPROGRESS)
		return change_answer(client, request, err, text);
	c->change = (struct change){
		.active = true,
		.client = client,
		.request = *request,
		.until = deadline_in(CHANGE_MS),
	};
	memcpy(c->change.note, text, sizeof(text));
	return 0;
}

static int serve_tap(struct control *c, struct client *client, const struct sluice_ctl_msg *request)
{
	struct sluice_ctl_msg msg = answer_to(request, SLUICE_CTL_TAPPED);
	int fds[2] = { client->mem.data_ro_fd, client->mem.ctl_fd }, err;
	char why[SLUICE_CTL_TEXT] = "";

	if (client->uid)
		return refuse(client, request, EPERM, "only root may look at packets: use sudo");
	err = taps_open(c, client, request, &msg, why, sizeof(why));
	if (err)
		return refuse(client, request, -err, "%s", why[0] ? why : strerror(-err));
	return porter_reply(client->fd, &msg, fds, 2);
}

static int serve(struct control *c, struct client *client, const struct porter_request *request)
{
	switch (request->msg.type) {
	case SLUICE_CTL_ATTACH:
		return serve_attach(c, client, request);
	case SLUICE_CTL_DETACH:
	case SLUICE_CTL_STOP:
		return serve_lane(c, client, &request->msg);
	case SLUICE_CTL_QUERY:
		return serve_query(c, client, &request->msg);
	case SLUICE_CTL_RULE:
	case SLUICE_CTL_RPS:
	case SLUICE_CTL_WORKER:
		return serve_change(c, client, &request->msg);
	case SLUICE_CTL_TAP:
		return serve_tap(c, client, &request->msg);
	default:
		return -EPROTO;
	}
}

static void client_drop(struct control *c, struct client *client)
{
	struct client **link = &c->first;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	c->nr_clients--;
	if (c->change.client == client)
		c->change.client = NULL;
	while (client->first)
		attached_remove(c, client, client->first);
	taps_close(c, client);
	lanemem_destroy(&client->mem);
	close(client->fd);
	free(client);
}

bool control_is_waiting(const struct control *c, const struct client *client)
{
	return c->change.active && c->change.client == client;
}

static void change_end(struct control *c, int err)
{
	struct change *change = &c->change;

	if (err == -EAGAIN) {
		err = -EBUSY;
		snprintf(change->note, sizeof(change->note), "flows that always have packets "
			 "waiting have not left the table that was replaced before: try again later");
	}
	change->active = false;
	if (change->client && change_answer(change->client, &change->request, err, change->note))
		client_drop(c, change->client);
	change->client = NULL;
}

void control_tick(struct control *c)
{
	int err;

	if (c->settling)
		c->settling = settings_tick(c->dev) == -EAGAIN;
	if (!c->change.active) {
		/* What is left of a worker that could not be added. */
		device_worker_step(c->dev);
		return;
	}
	err = change_step(c);
	if (err == -EINPROGRESS || (err == -EAGAIN && deadline_left(c->change.until)))
		return;
	if (c->change.request.type == SLUICE_CTL_RPS)
		c->settling = true;
	change_end(c, err);
}

int control_timeout_ms(const struct control *c)
{
	return c->change.active || c->settling || c->dev->leave.active ? TICK_MS : -1;
}

void control_serve(struct control *c, struct client *client)
{
	for (int i = 0; i < REQUESTS_AT_ONCE && !control_is_waiting(c, client); i++) {
		struct porter_request request;
		int err = porter_recv(client->fd, &request);

		if (err == -EAGAIN)
			return;
		if (!err)
			err = serve(c, client, &request);
		if (err) {
			client_drop(c, client);
			return;
		}
	}
}

int control_accept(struct control *c)
{
	for (;;) {
		struct porter_client from;
		struct client *client;
		int err = porter_next(c->porter, &from);

		if (err)
			return err == -EAGAIN ? 0 : err;
		client = calloc(1, sizeof(*client));
		if (!client || lanemem_init(&client->mem)) {
			/* Its connection ends; the program falls back to the kernel. */
			free(client);
			close(from.fd);
			continue;
		}
		client->fd = from.fd;
		client->pid = from.pid;
		client->uid = from.uid;
		client->next = c->first;
		c->first = client;
		c->nr_clients++;
	}
}

void control_drop_broken(struct control *c)
{
	struct client *next;
	uint64_t count;

	/* Nothing to read only means that another report was taken together with this one. */
	if (read(c->dev->engine->broken_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	for (struct client *client = c->first; client; client = next) {
		bool broken = taps_broken(client);

		next = client->next;
		for (struct attached *a = client->first; a; a = a->next) {
			lane_lock(&a->sk.lane);
			broken |= a->sk.lane.broken;
			lane_unlock(&a->sk.lane);
		}
		if (broken)
			client_drop(c, client);
	}
}

void control_init(struct control *c, struct device *dev, struct ports *ports, struct porter *porter,
		  struct accel *accel)
{
	*c = (struct control){ .dev = dev, .ports = ports, .porter = porter, .accel = accel };
}

void control_destroy(struct control *c)
{
	while (c->first)
		client_drop(c, c->first);
	rules_destroy(&c->rules);
}
