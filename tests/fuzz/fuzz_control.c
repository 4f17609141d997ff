// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
/*
 * What control_check() takes for a request is one by include/sluice/control.h,
 * and what is one it takes.
 *
 *   input:  number of descriptors, then the message
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctlmsg.h"

static void check(bool cond)
{
	if (!cond)
		abort();
}

static uint32_t word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint16_t half(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static unsigned int descriptors_of(uint16_t type)
{
	switch (type) {
	case SLUICE_CTL_ATTACH:
		return 1;
	case SLUICE_CTL_DETACH:
	case SLUICE_CTL_STOP:
	case SLUICE_CTL_QUERY:
	case SLUICE_CTL_RULE:
	case SLUICE_CTL_RPS:
	case SLUICE_CTL_WORKER:
	case SLUICE_CTL_TAP:
		return 0;
	default:
		return UINT32_MAX;
	}
}

static int expected(const uint8_t *msg, size_t len, unsigned int nfds)
{
	if (len != sizeof(struct sluice_ctl_msg) || word(msg) != SLUICE_CTL_MAGIC)
		return -EBADMSG;
	if (half(msg + 4) != SLUICE_CTL_VERSION || descriptors_of(half(msg + 6)) != nfds)
		return -EPROTO;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sluice_ctl_msg out, before;
	uint8_t *msg;
	size_t len;
	int err;

	if (!size)
		return 0;
	/* Exactly as long as it is, at any alignment, so that a sanitizer sees a read beyond. */
	len = size - 1;
	msg = malloc(len ? len : 1);
	if (len)
		memcpy(msg, data + 1, len);
	memset(&out, 0xa5, sizeof(out));
	memcpy(&before, &out, sizeof(out));

	err = control_check(msg, len, data[0], &out);
	check(err == expected(msg, len, data[0]));
	check(!memcmp(&out, err ? (void *)&before : msg, sizeof(out)));
	free(msg);
	return 0;
}
