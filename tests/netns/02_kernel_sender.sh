#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                       netns b
#   udp_send: sendmmsg --> veth a ====== 4 queues ======> veth b: XDP --> 1, 2 workers --> udp_recv
#
# An ordinary sender: partial checksums, random sizes and bytes, its kernel's choice of queue.
# The first datagrams of each flow go slowly: until it has settled on a queue, which is the sending
# kernel's choice, its order is that kernel's.
# Also datagrams larger than the MTU: their fragments come through the kernel's socket.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 FLOWS=64 COUNT=32768

# ADDRESS SIZES OPTIONS...
cell()
{
	what="$workers workers, $2 bytes to $1 ${*:3}"
	receive recv -a "$1" -p $PORT -n $COUNT -t 10 -c 1 -R "${@:3}"
	sent=$(send -d "$1" -p $PORT -f $FLOWS -n $COUNT -s "$2" -r 60000 -w)
	equal "$what: sent" "$sent" $COUNT
}

for workers in 1 2; do
	list=1
	[ $workers = 1 ] || list=0,1
	fresh 4
	daemon --workers $list --ring 16384
	for addr in "$TB_B4" "$TB_B6"; do
		for sizes in 24-64 24-1400; do
			for how in "" -P; do
				# shellcheck disable=SC2086
				cell "$addr" $sizes $how
				received_by_lane recv $COUNT
				equal "$what: reordered" "$(out recv '.ports[0].reordered')" 0
				echo "ok    $what"
			done
		done
		cell "$addr" 1000-2000
		received recv $COUNT
		by_kernel=$(out recv '.ports[0].kernel')
		[ "$by_kernel" -gt 0 ] || fail "$what: no fragment went to the kernel"
		[ "$by_kernel" -lt $COUNT ] || fail "$what: nothing went through the lane"
		echo "ok    $what: $by_kernel, fragmented, through the kernel"
	done
	conserved
	tb_exec "$TB_A" ethtool -K "$TB_ADEV" tx off
	for addr in "$TB_B4" "$TB_B6"; do
		cell "$addr" 24-1400
		received_by_lane recv $COUNT
		equal "$what: reordered" "$(out recv '.ports[0].reordered')" 0
		echo "ok    $what, full checksums"
	done
	conserved
	tb_stop sluiced
done
