/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* endpoint.h - addresses, prefixes and ports as people write them. */
#ifndef SLUICE_CLI_ENDPOINT_H
#define SLUICE_CLI_ENDPOINT_H

#include "sluice/steer.h"

/*
 * "10.0.0.1:53" or "[2001:db8::1]:53". The family, 4 or 6, with addr (IPv4 as
 * ::ffff:a.b.c.d) and port in network order; -EINVAL. Written only on success.
 */
int endpoint_parse(const char *text, struct sluice_addr *addr, __be16 *port);

/*
 * "10.0.0.0/8" or "2001:db8::/32"; without a length, one address. 0 with family (4 or
 * 6), addr (IPv4: addr[0]) and len; -EINVAL: no prefix, nothing is written; -ERANGE: a
 * bit beyond the length is set, and addr is as it would be without.
 */
int prefix_parse(const char *text, __u32 addr[4], __u8 *len, int *family);

/* "udp", "sctp": the number of a protocol with ports; 0: none. */
__u8 protocol_parse(const char *text);
/* The reverse; NULL: none of them. */
const char *protocol_name(__u8 number);

#endif
