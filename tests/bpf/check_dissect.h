/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * check_dissect.h - engine/dissect.h against model_packet.h, for one frame. It lies in memory
 * of its own, so that a sanitizer sees every byte read beyond its end.
 */
#ifndef TEST_CHECK_DISSECT_H
#define TEST_CHECK_DISSECT_H

#include <stdlib.h>

#include "engine/dissect.h"
#include "model_packet.h"

#ifndef DISSECT_CHECK
#define DISSECT_CHECK(cond) assert_true(cond)
#endif

static inline void check_dissect(const __u8 *frame, __u32 len)
{
	const __u8 none[4] = { 0 }, *ports;
	__u8 *copy = malloc(len ? len : 1);
	struct model_packet m = { 0 };
	struct flow_key k;
	size_t addr;

	DISSECT_CHECK(copy);
	memcpy(copy, frame, len);
	if (len >= 14)
		m = model_parse(copy, len);
	DISSECT_CHECK(dissect_key(copy, len, &k) == (m.version != 0));
	if (m.version) {
		addr = m.version == 4 ? 4 : 16;
		ports = m.ports ? m.ports : none;
		DISSECT_CHECK(k.version == m.version && k.proto == m.proto);
		DISSECT_CHECK(!memcmp(&k.saddr, m.saddr, addr) && !memcmp(&k.daddr, m.daddr, addr));
		DISSECT_CHECK(k.ports == (m.ports != NULL));
		DISSECT_CHECK(!memcmp(&k.sport, ports, 2) && !memcmp(&k.dport, ports + 2, 2));
	}
	free(copy);
}

#endif
