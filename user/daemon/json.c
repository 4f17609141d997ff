// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "daemon/json.h"

#include <arpa/inet.h>
#include <string.h>

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
	char text[INET6_ADDRSTRLEN] = "*";
	bool v4 = !addr->w[0] && !addr->w[1] && addr->w[2] == htonl(0xffff);

	if (v4)
		inet_ntop(AF_INET, &addr->w[3], text, sizeof(text));
	else if (addr->w[0] | addr->w[1] | addr->w[2] | addr->w[3])
		inet_ntop(AF_INET6, addr, text, sizeof(text));
	else
		strcpy(text, ipv6 ? "::" : "0.0.0.0");
	put_text(o, key, text);
}
