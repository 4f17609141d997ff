/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/* datagram.h - a received datagram (sluice/lane.h) as the IP packet that carried it. */
#ifndef SLUICE_CLI_DATAGRAM_H
#define SLUICE_CLI_DATAGRAM_H

#include <stdint.h>

#include <sluice/lane.h>

/* Headers and the longest payload. */
#define DATAGRAM_MAX (40u + 8u + 65535u)

/*
 * Writes an IP packet to packet, which has room for DATAGRAM_MAX bytes: with the record's
 * addresses, ports, TOS and TTL, without options, not to be fragmented, checksums right.
 * Returns its length; 0: no packet is as long as that.
 */
uint32_t datagram_build(uint8_t *packet, const struct sluice_rec *rec);

#endif
