// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/* ctlmsg.c - messages with descriptors; see ctlmsg.h. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include "daemon/ctlmsg.h"

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(CTLMSG_FDS * sizeof(int))];
};

int control_check(const void *buf, size_t len, unsigned int nfds, struct sluice_ctl_msg *out)
{
	struct sluice_ctl_msg msg;

	if (len != sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	if (msg.magic != SLUICE_CTL_MAGIC)
		return -EBADMSG;
	if (msg.version != SLUICE_CTL_VERSION)
		return -EPROTO;
	if (msg.type < SLUICE_CTL_ATTACH || msg.type >= SLUICE_CTL_REQUESTS)
		return -EPROTO;
	if (nfds != (msg.type == SLUICE_CTL_ATTACH ? 1u : 0u))
		return -EPROTO;
	*out = msg;
	return 0;
}

ssize_t ctlmsg_send(int sock, const void *buf, size_t len, const int *fds, unsigned int nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control control = { 0 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (nfds) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	do {
		n = sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t ctlmsg_recv(int sock, void *buf, size_t len, int fds[CTLMSG_FDS], unsigned int *nfds)
{
	union fd_control control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	do {
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*nfds = 0;
	for (cmsg = CMSG_FIRSTHDR(&mh); cmsg; cmsg = CMSG_NXTHDR(&mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		*nfds = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cmsg), *nfds * sizeof(int));
	}
	if (mh.msg_flags & MSG_CTRUNC)
		*nfds = CTLMSG_FDS + 1;
	return n;
}
