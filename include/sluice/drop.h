/* SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause */
/*
 * drop.h - why a packet ended without reaching a client. Every packet that a
 * worker takes from a ring is either put into a lane or counted under exactly
 * one of these:  received = delivered + the sum of all drop reasons.
 * (X: identifier, name in JSON and tables, explanation)
 */
#ifndef SLUICE_DROP_H
#define SLUICE_DROP_H

#define SLUICE_DROP_LIST(X)                                                          \
	X(DESC, "bad_desc", "descriptor outside the UMEM")                           \
	X(SNAPLEN, "snaplen", "the capture holds only a part of it")                 \
	X(ETH_SHORT, "eth_short", "frame shorter than its link header")              \
	X(ETH_PROTO, "eth_proto", "EtherType that nothing handles")                  \
	X(VLAN, "vlan", "VLAN tag that no device owns")                              \
	X(HOOK, "hook", "a receive hook dropped it")                                 \
	X(ROUNDS, "rounds", "too many VLAN tags, or rounds of receive hooks")        \
	X(BACKLOG, "backlog", "the other worker's backlog is full")                  \
	X(FLOW_LIMIT, "flow_limit", "that backlog above half, mostly of this flow")  \
	X(IP_HEADER, "ip_header", "IP version or header length wrong")               \
	X(IP_TRUNCATED, "ip_truncated", "IP total length exceeds the frame")         \
	X(IP_CSUM, "ip_csum", "IPv4 header checksum wrong")                          \
	X(IP_OPTIONS, "ip_options", "IPv4 options or IPv6 extension headers")        \
	X(IP_FRAG, "ip_frag", "IP fragment")                                         \
	X(NOT_LOCAL, "not_local", "destination address is not this host's")          \
	X(IP_PROTO, "ip_proto", "transport protocol that nothing handles")           \
	X(UDP_SHORT, "udp_short", "UDP header or length field too short")            \
	X(UDP_LEN, "udp_len", "UDP length exceeds the IP payload")                   \
	X(UDP_CSUM, "udp_csum", "UDP checksum wrong, or none over IPv6")             \
	X(NO_SOCKET, "no_socket", "no attached socket takes it")                     \
	X(LANE_FULL, "lane_full", "the client did not make room in time")            \
	X(CLIENT_GONE, "client_gone", "the client was disconnected before delivery")

enum sluice_drop {
#define X(id, name, text) SLUICE_DROP_##id,
	SLUICE_DROP_LIST(X)
#undef X
	SLUICE_DROPS
};

#endif
