#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen, --> veth a ==== 2 queues ====> veth b: XDP --> worker 0 (CPU 0), worker 1 (CPU 1)
#   64 flows                                        --> sluice recv: on CPU 0, then 1, 0, ...
#
# A client changes its CPU; 100 ms later >= 99 % of its packets are handled by that CPU's worker.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000

# CPU: from sluice stat on stdin, how many packets its worker has put into lanes
delivered_by()
{
	jq "[.napi[] | select(.cpu == $1) | .delivered] | add // 0"
}

# CPU: where the client is
handled_there()
{
	local a b here there
	a=$(stat_of)
	sleep 0.5
	b=$(stat_of)
	here=$(($(delivered_by "$1" <<<"$b") - $(delivered_by "$1" <<<"$a")))
	there=$(($(delivered_by $((1 - $1)) <<<"$b") - $(delivered_by $((1 - $1)) <<<"$a")))
	echo "client on CPU $1: $here packets handled there, $there on the other"
	[ $here -gt 5000 ] || fail "too few to tell"
	[ $((here * 100)) -ge $(((here + there) * 99)) ] || fail "less than 99 %"
}

tb_up 2
daemon --workers 0,1 --ring 16384
tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --cpu 0 -t 60 -j
eventually serves $PORT || fail "not attached"
generate gen --dst "$TB_B4" --dport $PORT --flows 64 --size 64 --cpus 0,1 --rate 50000 --time 60
eventually serves $PORT 1000 || fail "no traffic"
sleep 0.1
handled_there 0
for round in 1 2 3; do
	for cpu in 1 0; do
		tb_signal recv USR1
		sleep 0.1
		handled_there $cpu
	done
done
tb_stop gen
sleep 0.2
tb_stop recv
equal "moves" "$(out recv .hops)" $((round * 2))
equal "received" "$(out recv .received)" "$(out gen .sent)"
equal "lost" "$(out recv .lost)" 0
conserved
