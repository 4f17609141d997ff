// SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#include "cli/flow_cond.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/endpoint.h"
#include "cli/out.h"

const char *proto_name(uint8_t proto)
{
	static _Thread_local char text[4];
	const char *name = protocol_name(proto);

	if (name)
		return name;
	if (proto == IPPROTO_ICMP)
		return "icmp";
	if (proto == IPPROTO_ICMPV6)
		return "icmpv6";
	snprintf(text, sizeof(text), "%u", proto);
	return text;
}

/* Decimal or 0x. */
static int read_number(const char *text, uint32_t max, uint32_t *out)
{
	unsigned long v;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoul(text, &end, 0);
	if (errno || *end || v > max)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

static int read_proto(const char *text, uint8_t *proto)
{
	uint32_t n = protocol_parse(text);

	if (!strcmp(text, "icmp"))
		n = IPPROTO_ICMP;
	else if (!strcmp(text, "icmpv6"))
		n = IPPROTO_ICMPV6;
	else if (!n && read_number(text, 255, &n))
		return -EINVAL;
	*proto = (uint8_t)n;
	return 0;
}

static int read_prefix(const char *text, struct sluice_addr *addr, uint8_t *len)
{
	struct sluice_addr a = { 0 };
	int family, err = prefix_parse(text, a.w, len, &family);

	if (err)
		return err;
	if (family == 4) {
		a = (struct sluice_addr){ .w = { 0, 0, htonl(0xffff), a.w[0] } };
		*len = (uint8_t)(*len + 96);
	}
	*addr = a;
	return 0;
}

static int read_port(const char *text, __be16 *port)
{
	uint32_t n;

	if (read_number(text, 65535, &n))
		return -EINVAL;
	*port = htons((uint16_t)n);
	return 0;
}

/* 0; -EINVAL: no such value; -ENOENT: no such name; -EEXIST: named before. */
static int read_one(struct flow_cond *c, const char *name, const char *value)
{
	struct sluice_ctl_flows *ask = &c->ask;
	uint32_t had = ask->cond;
	uint8_t len;
	int err;

	if (!strcmp(name, "queue")) {
		if (c->by_queue)
			return -EEXIST;
		c->by_queue = true;
		return read_number(value, SLUICE_MAX_QUEUES - 1, &c->queue);
	}
	if (!strcmp(name, "proto")) {
		ask->cond |= SLUICE_FLOWS_PROTO;
		err = read_proto(value, &ask->proto);
	} else if (!strcmp(name, "src")) {
		ask->cond |= SLUICE_FLOWS_SRC;
		err = read_prefix(value, &ask->src, &ask->src_len);
	} else if (!strcmp(name, "dst")) {
		ask->cond |= SLUICE_FLOWS_DST;
		err = read_prefix(value, &ask->dst, &ask->dst_len);
	} else if (!strcmp(name, "addr")) {
		ask->cond |= SLUICE_FLOWS_ADDR;
		err = read_prefix(value, &ask->addr, &len);
		if (!err && len != 128)
			err = -EINVAL;
	} else if (!strcmp(name, "sport")) {
		ask->cond |= SLUICE_FLOWS_SPORT;
		err = read_port(value, &ask->sport);
	} else if (!strcmp(name, "dport")) {
		ask->cond |= SLUICE_FLOWS_DPORT;
		err = read_port(value, &ask->dport);
	} else if (!strcmp(name, "port")) {
		ask->cond |= SLUICE_FLOWS_PORT;
		err = read_port(value, &ask->port);
	} else if (!strcmp(name, "hash")) {
		ask->cond |= SLUICE_FLOWS_HASH;
		err = read_number(value, UINT32_MAX, &ask->hash);
	} else {
		return -ENOENT;
	}
	return !err && ask->cond == had ? -EEXIST : err;
}

int flow_cond_parse(const char *command, const struct opt_words *words, struct flow_cond *cond)
{
	size_t i = words->n && !strcmp(words->v[0], "show");

	memset(cond, 0, sizeof(*cond));
	for (; i < words->n; i += 2) {
		const char *name = words->v[i], *value = i + 1 < words->n ? words->v[i + 1] : NULL;
		int err = read_one(cond, name, value ? value : "");

		if (err == -ENOENT)
			return opt_usage(command,
					 "`%s` is none of proto, src, dst, addr, sport, dport, "
					 "port, hash, queue",
					 name);
		if (err == -EEXIST)
			return opt_usage(command, "`%s` is given twice", name);
		if (!value)
			return opt_usage(command, "what follows `%s` is missing", name);
		if (err == -ERANGE)
			return opt_usage(command, "`%s %s` has bits set beyond its length", name,
					 value);
		if (err)
			return opt_usage(command, "`%s` does not take `%s`", name, value);
	}
	return 0;
}

/* As in the maps, so that addresses are in the order of their numbers. */
static struct sluice_addr addr_of(struct json_object *flow, const char *key)
{
	struct sluice_addr a = { .w = { 0, 0, htonl(0xffff), 0 } };
	const char *text = js_str(flow, key);

	inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text,
		  strchr(text, ':') ? &a.w[0] : &a.w[3]);
	return a;
}

static int compare_u64(struct json_object *a, struct json_object *b, const char *key)
{
	uint64_t x = js_u64(a, key), y = js_u64(b, key);

	return (x > y) - (x < y);
}

static int compare_addr(struct json_object *a, struct json_object *b, const char *key)
{
	struct sluice_addr x = addr_of(a, key), y = addr_of(b, key);

	return memcmp(&x, &y, sizeof(x));
}

int flow_compare(const void *pa, const void *pb)
{
	struct json_object *a = *(struct json_object *const *)pa;
	struct json_object *b = *(struct json_object *const *)pb;
	bool known = js_get(a, "src");
	int d = !known - !js_get(b, "src");

	if (!d && known)
		d = compare_u64(a, b, "proto");
	if (!d && known)
		d = compare_addr(a, b, "src");
	if (!d && known)
		d = compare_u64(a, b, "sport");
	if (!d && known)
		d = compare_addr(a, b, "dst");
	if (!d && known)
		d = compare_u64(a, b, "dport");
	if (!d)
		d = strcmp(js_str(a, "hash"), js_str(b, "hash"));
	return d ? d : compare_u64(a, b, "queue");
}
