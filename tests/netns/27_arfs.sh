#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns b: veth b, which has no n-tuple filters, and a sluiced that is asked for aRFS
#
# Refused with the reason and what to do, at the start and at run time, and nothing changes.
. "$(dirname "$0")/lib.sh"

nothing_left()
{
	ip -n "$TB_B" link show dev "$TB_BDEV" | grep -q xdp && fail "$1: XDP is attached"
	equal "$1: files" "$(find /run/sluice -name "*-$TB_BDEV.*" 2>/dev/null | wc -l)" 0
	[ -e "$TB_DIR/bpf/sluice/$TB_BDEV" ] && fail "$1: pins are left"
	return 0
}

tb_up 2
D=$TB_BUILD/sluiced

refuses "a veth" 1 "$TB_BDEV has no n-tuple filters.*leave --arfs out" "$D" -i "$TB_BDEV" --arfs
refuses "a veth, queues named" 1 'no n-tuple filters' "$D" -i "$TB_BDEV" --arfs \
	--arfs-queues 0:0,1:1
refuses "no flow keys" 1 'flow-keys is 0' "$D" -i "$TB_BDEV" --arfs --flow-keys 0
refuses "no RFS" 1 'sock-flows is 0' "$D" -i "$TB_BDEV" --arfs --sock-flows 0
refuses "no list" 2 'arfs-queues' "$D" -i "$TB_BDEV" --arfs-queues 0-1
nothing_left "refused"

daemon --workers 0 --arfs-queues 0:0
refuses "at run time" 1 'no n-tuple filters' "$SLUICE" rps set arfs on -i "$TB_BDEV"
refuses "neither on nor off" 2 'on. or .off' "$SLUICE" rps set arfs maybe -i "$TB_BDEV"
tb_exec "$TB_B" "$SLUICE" rps set arfs off -i "$TB_BDEV" || fail "off is refused where it is off"
equal "the daemon serves" "$(stat .dev)" "$TB_BDEV"
equal "aRFS" "$(tb_exec "$TB_B" "$SLUICE" flow -i "$TB_BDEV" -j | jq 'has("arfs")')" false
nothing_kept
tb_stop sluiced || fail "sluiced ends with $?"
nothing_left "after SIGTERM"
