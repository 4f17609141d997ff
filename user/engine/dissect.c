/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
#include "engine/dissect.h"

#include <string.h>

#include <parse.h>

#include "engine/engine.h"

bool dissect_key(const void *frame, size_t len, struct flow_key *key)
{
	struct parsed p;

	parse_frame(&p, frame, (const char *)frame + len);
	if (!p.version)
		return false;
	*key = (struct flow_key){
		.version = p.version,
		.proto = p.l4_proto,
		.ports = p.ports,
		.sport = p.sport,
		.dport = p.dport,
	};
	if (p.version == 4) {
		memcpy(&key->saddr, (const char *)p.l3 + IP4_SADDR, 4);
		memcpy(&key->daddr, (const char *)p.l3 + IP4_DADDR, 4);
	} else {
		memcpy(&key->saddr, (const char *)p.l3 + IP6_SADDR, 16);
		memcpy(&key->daddr, (const char *)p.l3 + IP6_DADDR, 16);
	}
	return true;
}

uint32_t dissect_key_hash(const struct engine *engine, const struct flow_key *key)
{
	if (engine->toeplitz)
		return toeplitz_hash(engine->rss_table, key);
	return flow_hash(engine->hash_key, key);
}

uint32_t dissect_hash(const struct engine *engine, const void *frame, size_t len)
{
	struct flow_key key;

	return dissect_key(frame, len, &key) ? dissect_key_hash(engine, &key) : 0;
}
