// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* query.c - the client side of sluice/control.h, but for lanes. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/query.h"

#define QUERY_ID 1
#define QUERY_FDS 3
#define QUERY_TIMEOUT_S 5
/* A table of 2 GB, or a worker that is busy, may take some seconds. */
#define CHANGE_TIMEOUT_S 60
/* A flow table of 2^20 entries is some 60 MB of JSON; more than this is a fault. */
#define QUERY_MAX_BYTES (256l << 20)

int query_netns_cookie(uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len))
		err = -errno;
	close(fd);
	return err;
}

/*
 * Names the socket whose file begins with prefix. 0; -ENOENT: none;
 * -ENOTUNIQ: several.
 */
static int find_socket(const char *prefix, struct sockaddr_un *sa)
{
	DIR *dir = opendir(SLUICE_CTL_DIR);
	struct dirent *e;
	int err = -ENOENT;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (strncmp(e->d_name, prefix, strlen(prefix)) || len < 5 ||
		    strcmp(e->d_name + len - 5, ".sock"))
			continue;
		if (!err) {
			err = -ENOTUNIQ;
			break;
		}
		if (len + sizeof(SLUICE_CTL_DIR) >= sizeof(sa->sun_path))
			continue;
		snprintf(sa->sun_path, sizeof(sa->sun_path), "%s/%.80s", SLUICE_CTL_DIR, e->d_name);
		err = 0;
	}
	closedir(dir);
	return err;
}

/* A connected descriptor or -errno. */
static int connect_daemon(const char *dev)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = QUERY_TIMEOUT_S };
	uint64_t cookie;
	char prefix[64];
	int fd, err = query_netns_cookie(&cookie);

	if (err)
		return err;
	snprintf(prefix, sizeof(prefix), "%" PRIu64 "-%.15s%s", cookie, dev ? dev : "",
		 dev ? "." : "");
	err = find_socket(prefix, &sa);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static unsigned int take_fds(struct msghdr *mh, int *fds)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh);
	unsigned int n;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(cmsg), n * sizeof(int));
	return n;
}

/* Receives one message and its descriptors: *nfds, also when it fails. 0 or -errno. */
static int receive(int sock, struct sluice_ctl_msg *msg, int fds[QUERY_FDS], unsigned int *nfds)
{
	union {
		char buf[CMSG_SPACE(QUERY_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	*nfds = 0;
	n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	*nfds = take_fds(&mh, fds);
	if (n == 0)
		return -ECONNRESET;
	return n != (ssize_t)sizeof(*msg) || msg->magic != SLUICE_CTL_MAGIC ||
	       msg->version != SLUICE_CTL_VERSION || msg->id != QUERY_ID ? -EPROTO : 0;
}

static int parse_document(int fd, struct json_object **doc)
{
	struct json_tokener *tok;
	struct stat st;
	int err = -EPROTO;
	char *text;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size <= 0 || st.st_size > QUERY_MAX_BYTES)
		return -EPROTO;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return -errno;
	tok = json_tokener_new();
	if (!tok) {
		err = -ENOMEM;
		goto unmap;
	}
	*doc = json_tokener_parse_ex(tok, text, (int)st.st_size);
	if (json_object_is_type(*doc, json_type_object))
		err = 0;
	else
		json_object_put(*doc);
	json_tokener_free(tok);
unmap:
	munmap(text, (size_t)st.st_size);
	return err;
}

static int explain(const char *command, const char *dev, int err)
{
	const char *of = dev ? dev : "this network namespace", *why = strerror(-err);
	const char *remedy = "is the daemon well? see its log";

	if (err == -ENOENT || err == -ECONNREFUSED) {
		why = "no daemon runs";
		remedy = dev ? "start it with `sluiced -i DEV`, or name another device" :
			       "start it with `sluiced -i DEV`, in this namespace";
	} else if (err == -ENOTUNIQ) {
		why = "several daemons run";
		remedy = "name the device with -i DEV";
	} else if (err == -EACCES || err == -EPERM) {
		remedy = "run as root, or as a user that may open " SLUICE_CTL_DIR;
	} else if (err == -EPROTO) {
		why = "the daemon's answer makes no sense";
		remedy = "use the command and the daemon of one version (" SLUICE_VERSION ")";
	} else if (err == -EAGAIN) {
		why = "the daemon did not answer in time";
	}
	out_error(command, "cannot ask the daemon of %s: %s; %s", of, why, remedy);
	return -1;
}

int open_daemon(const char *command, const char *dev)
{
	int sock = connect_daemon(dev);

	return sock < 0 ? explain(command, dev, sock) : sock;
}

int ask_for_fds(const char *command, const char *dev, int sock, struct sluice_ctl_msg *msg,
		enum sluice_ctl_type want, int *fds, unsigned int nfds)
{
	int got[QUERY_FDS], err;
	unsigned int n = 0;

	msg->magic = SLUICE_CTL_MAGIC;
	msg->version = SLUICE_CTL_VERSION;
	msg->id = QUERY_ID;
	err = send(sock, msg, sizeof(*msg), MSG_NOSIGNAL) < 0 ? -errno :
								receive(sock, msg, got, &n);
	if (!err && msg->type == want && n == nfds) {
		memcpy(fds, got, n * sizeof(int));
		return 0;
	}
	while (n)
		close(got[--n]);
	if (err || msg->type != SLUICE_CTL_REFUSED)
		return explain(command, dev, err ? err : -EPROTO);
	out_error(command, "the daemon refused: %.*s", SLUICE_CTL_TEXT, msg->u.refused.text);
	return -1;
}

int ask_daemon(const char *command, const char *dev, int sock, struct sluice_ctl_msg *msg,
	       struct json_object **doc)
{
	const struct timeval change = { .tv_sec = CHANGE_TIMEOUT_S };
	int fd = -1, err;

	if (!doc)
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &change, sizeof(change));
	err = ask_for_fds(command, dev, sock, msg, doc ? SLUICE_CTL_ANSWER : SLUICE_CTL_DONE, &fd,
			  doc ? 1 : 0);
	if (err || !doc)
		return err;
	err = parse_document(fd, doc);
	close(fd);
	return err ? explain(command, dev, err) : 0;
}

int request_daemon(const char *command, const char *dev, struct sluice_ctl_msg *msg,
		   struct json_object **doc)
{
	int sock = open_daemon(command, dev), err;

	if (sock < 0)
		return -1;
	err = ask_daemon(command, dev, sock, msg, doc);
	close(sock);
	return err;
}

int query_daemon(const char *command, const char *dev, enum sluice_ctl_query what,
		 struct json_object **doc)
{
	struct sluice_ctl_msg msg = { .type = SLUICE_CTL_QUERY, .u.query.what = what };

	return request_daemon(command, dev, &msg, doc);
}
