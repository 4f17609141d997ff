/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * link.h - is a frame for this host, as far as its link header says? Role host only: in
 * role mirror every frame is looked at, whoever it was sent to.
 */
#ifndef SLUICE_LINK_H
#define SLUICE_LINK_H

#include <bpf/bpf_endian.h>
#include <sluice/steer.h>

#include "maps.h"
#include "parse.h"

#define VLAN_VID_MASK 0x0fff

/* Eight bytes at once, of which two are not the address. */
static __always_inline int mac_is_ours(const void *mac)
{
	__u64 differ = *(const __u64 *)mac ^ *(const __u64 *)dev_mac;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return !(differ << 16);
#else
	return !(differ >> 16);
#endif
}

static __always_inline int mac_is_group(const void *mac)
{
	return parse_8(mac) & 1;
}

/* VID 0 is a priority tag: the frame belongs to the device itself. */
static __always_inline int vlan_has_device(__be16 tci)
{
	__u32 vid = bpf_ntohs(tci) & VLAN_VID_MASK, zero = 0;
	const struct vlan_table *vlans;

	if (!vid)
		return 1;
	vlans = bpf_map_lookup_elem(&vlan_dev, &zero);
	return vlans && vlans->ifindex[vid];
}

/* Tags were skipped: no device here has frames with two of them, or with a provider's. */
static __always_inline enum sluice_verdict vlan_check(const struct parsed *p, const void *data)
{
	const void *tag = data + PARSE_ETH_PROTO;

	if (p->tags > 1 || parse_16(tag) != bpf_htons(PARSE_8021Q) ||
	    !vlan_has_device(parse_16(tag + 2)))
		return SLUICE_XDP_PASS_VLAN;
	return SLUICE_XDP_REDIRECT;
}

/*
 * For a tagged frame: why, if that is a reason already; else tags, what parse_tags() said; else
 * whether it is of a VLAN here.
 */
static __always_inline enum sluice_verdict link_check(enum sluice_verdict why,
						      const struct parsed *p, const void *data,
						      enum sluice_verdict tags)
{
	if (why != SLUICE_XDP_REDIRECT)
		return why;
	return tags == SLUICE_XDP_REDIRECT ? vlan_check(p, data) : tags;
}

#endif
