#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen --> veth a ====== 1, 2 queues ======> veth b: XDP --> 1, 2 workers --> sluice recv
#   (a thread per queue, on CPU 0, 1)
#
# 64 flows, 64 and 1500 bytes, IPv4 and IPv6: delivered = sent, in order, bytes equal. (The
# smallest frame that holds the generator's header over IPv6 has 82 bytes.)
# Each flow begins on a worker chosen by hash and moves to that of the client's CPU. The rings are
# large, because this machine may have other things to do.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 FLOWS=64 COUNT=32768

# ADDRESS SIZE CPUS RATE
cell()
{
	local what="$queues queues, $workers workers, $2 bytes to $1"
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT -a "$1" --cpu 1 --verify --lane 33554432 \
		-n $COUNT -t 10 -j
	eventually serves $PORT || fail "$what: not attached"
	generate gen --dst "$1" --dport $PORT --flows $FLOWS --size "$2" --cpus "$3" --rate "$4" \
		--count $COUNT
	tb_wait gen || fail "$what: gen failed"
	tb_wait recv || fail "$what: recv failed"
	equal "$what: sent" "$(out gen .sent)" $COUNT
	equal "$what: received" "$(out recv .received)" $COUNT
	equal "$what: through the lane" "$(out recv .lane)" $COUNT
	equal "$what: lost" "$(out recv .lost)" 0
	equal "$what: reordered" "$(out recv .reordered)" 0
	equal "$what: wrong" "$(out recv '.corrupt + .foreign + .malformed + .duplicates')" 0
	equal "$what: flows" "$(out recv .flows)" $FLOWS
	echo "ok    $what"
}

for queues in 1 2; do
	cpus=0
	[ $queues = 1 ] || cpus=0,1
	for workers in 1 2; do
		list=1
		[ $workers = 1 ] || list=0,1
		fresh $queues
		daemon --workers $list --ring 16384
		for addr in "$TB_B4" "$TB_B6"; do
			small=64
			[ "$addr" = "$TB_B4" ] || small=82
			for size in $small 1500; do
				cell "$addr" $size $cpus 50000
			done
		done
		conserved
		equal "workers" "$(stat '.workers | length')" $workers
		tb_stop sluiced
	done
done
