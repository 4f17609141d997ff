// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/json.h"

#include <string.h>

#include "engine/addr.h"

void put_u64(json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

void put_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

void put_addr(json_object *o, const char *key, const struct sluice_addr *addr, bool ipv6)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->w[3], text, sizeof(text));
	else if (addr_is_any(addr))
		strcpy(text, ipv6 ? "::" : "0.0.0.0");
	else
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	put_text(o, key, text);
}
