/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * netlink_attr.h - attributes of a netlink message: by type, and copied out of it.
 * Nothing in a message is believed beyond its length.
 */
#ifndef SLUICE_NETLINK_ATTR_H
#define SLUICE_NETLINK_ATTR_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Attributes up to end by type, into tb[max + 1]; those above max are left out. */
static inline void attrs_read(const struct nlattr *attr, const char *end, const struct nlattr **tb,
			      int max)
{
	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) <= max)
			tb[mnl_attr_get_type(attr)] = attr;
}

/* The same for those of a message behind its header of that many bytes. */
static inline void attrs_of(const struct nlmsghdr *nlh, size_t header, const struct nlattr **tb,
			    int max)
{
	attrs_read(mnl_nlmsg_get_payload_offset(nlh, header), mnl_nlmsg_get_payload_tail(nlh), tb,
		   max);
}

static inline void nest_read(const struct nlattr *nest, const struct nlattr **tb, int max)
{
	const char *payload = mnl_attr_get_payload(nest);

	attrs_read(mnl_attr_get_payload(nest), payload + mnl_attr_get_payload_len(nest), tb, max);
}

/* False, and nothing is copied: absent (NULL), or of another length. */
static inline bool attr_copy(const struct nlattr *attr, void *out, size_t len)
{
	if (!attr || mnl_attr_get_payload_len(attr) != len)
		return false;
	memcpy(out, mnl_attr_get_payload(attr), len);
	return true;
}

/* A string attribute, cut to size; the kernel ends them with 0, others might not. */
static inline void attr_string(const struct nlattr *attr, char *out, size_t size)
{
	size_t len = mnl_attr_get_payload_len(attr);

	if (len >= size)
		len = size - 1;
	memset(out, 0, size);
	memcpy(out, mnl_attr_get_payload(attr), strnlen(mnl_attr_get_payload(attr), len));
}

#endif
