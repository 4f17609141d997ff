#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen, --> veth a ==== 2 queues ====> veth b: XDP --> worker 0 or 1 --> sluice recv:
#   256 flows                                    ^                               next CPU every 5 ms
#                                                sluice rps set, again and again
#
# The table of flows of each queue and the one of sockets are resized, and masks changed, CHANGES
# times in all under traffic, alone and together: no loss, no reordering, and each is in force when
# the command returns. What cannot be is refused whole, and the old settings stay. A table of 2 GB
# does not keep the daemon from its other clients.
. "$(dirname "$0")/lib.sh"
need_cpus 2

CHANGES=${CHANGES:-1000} PORT=7000

rps()
{
	tb_exec "$TB_B" "$SLUICE" rps "$@"
}

# QUEUE ARGUMENTS...
queue()
{
	rps set dev "$TB_BDEV" queue "$@"
}

# "mask flow_cnt" of each queue, and the entries
settings()
{
	rps show -j | jq -r '([.queues[] | "\(.rps_cpus | ltrimstr("0")) \(.rps_flow_cnt)"] |
		join(" ")) + " \(.rps_sock_flow_entries)"'
}

# WHY ARGUMENTS...: of sluice rps
refused()
{
	local why=$1 before
	shift
	before=$(settings)
	rps "$@" >"$TB_DIR/refused" 2>&1 && fail "rps $* was not refused"
	grep -q -- "$why" "$TB_DIR/refused" || fail "rps $*: $(cat "$TB_DIR/refused"), wanted: $why"
	equal "after the refused rps $*" "$(settings)" "$before"
}

tb_up 2
daemon --workers 0,1 --ring 32768 --rps-flow-cnt 0 --sock-flows 1
equal "at the start" "$(settings)" "3 0 3 0 2"
queue 0 flow_cnt 1000 || fail "set"
queue 1 flow_cnt 1 cpus 2 || fail "set both"
equal "settings" "$(settings)" "3 1024 2 1 2"
refused "are too many" set dev "$TB_BDEV" queue 0 cpus 1 flow_cnt 16777217
refused "has CPU 9" set dev "$TB_BDEV" queue 0 flow_cnt 64 cpus 200
refused "is not served" set dev "$TB_BDEV" queue 2 flow_cnt 64
refused "no number" set dev "$TB_BDEV" queue 0 flow_cnt 4294967296
refused "no number" set dev "$TB_BDEV" queue 0 flow_cnt many
refused "given twice" set dev "$TB_BDEV" queue 0 flow_cnt 64 flow_cnt 64
refused "expected" set dev "$TB_BDEV" queue 0
queue 0 flow_cnt 0 && queue 1 flow_cnt 0 cpus 3 || fail "set 0"
equal "settings" "$(settings)" "3 0 3 0 2"
echo "ok    formats and refusals"

rps set entries 536870912 &
large=$!
longest=0
for ((i = 0; i < 20; i++)); do
	start=$(date +%s%N)
	stat .dev >/dev/null
	took=$((($(date +%s%N) - start) / 1000000))
	[ $took -le $longest ] || longest=$took
	sleep 0.1
done
if wait $large; then
	equal "entries" "$(rps show -j | jq .rps_sock_flow_entries)" 536870912
else
	echo "no memory for the largest table: $(free -m | awk '/^Mem/ { print $7 }') MB are left"
fi
[ $longest -le 500 ] || fail "a client waited $longest ms while a large table was made"
rps set entries 32768 || fail "set"
echo "ok    a table of 2 GB: no other client waited for more than $longest ms"

queue 0 flow_cnt 4096 && queue 1 flow_cnt 4096 || fail "set"
descriptors=$(fds)
tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --lane 16777216 --cpu 1 --hop 5 -t 170 -j
eventually serves $PORT || fail "not attached"
generate gen --dst "$TB_B4" --dport $PORT --flows 256 --rate 50000 --cpus 0,1 --time 160
eventually serves $PORT 20000 || fail "no traffic"
masks=(1 3 2 3 3) flows=(4096 16 1 256 65536 2 1024) entries=(2 64 32768 4096 1048576 4194304 0)
# Stopped for a moment now and then, so that there is always something under way.
(while sleep 0.03 && tb_signal sluiced STOP; do
	sleep 0.01
	tb_signal sluiced CONT
done) &
stopper=$!
start=$(date +%s%N) before=$(settings)
for ((i = 0; i < CHANGES; i++)); do
	q=$((i / 4 % 2))
	case $((i % 4)) in
	0) queue $q flow_cnt "${flows[i / 8 % 7]}" ;;
	1) queue $q cpus "${masks[i / 8 % 5]}" ;;
	2) queue $q cpus "${masks[(i / 8 + 2) % 5]}" flow_cnt "${flows[(i / 8 + 3) % 7]}" ;;
	3) rps set entries "${entries[i / 4 % 7]}" ;;
	esac || fail "change $i"
done
took=$((($(date +%s%N) - start) / 1000000))
kill $stopper
wait $stopper 2>/dev/null
tb_signal sluiced CONT
queue 0 cpus 3 flow_cnt 4096 && queue 1 cpus 3 flow_cnt 4096 && rps set entries 32768 || fail "set"
equal "settings at the end" "$(settings)" "$before"
tb_signal gen INT
tb_wait gen
sleep 0.3
tb_stop recv
[ "$(stat .xdp.pass_stalled)" = 0 ] ||
	skip "a worker got no CPU for 200 ms: the machine is too busy to tell"
equal "received" "$(out recv .received)" "$(out gen .sent)"
equal "reordered" "$(out recv .reordered)" 0
equal "received by the kernel" "$(out recv .kernel)" 0
equal "dropped" "$(stat .books.dropped)" 0
conserved
nothing_kept
echo "ok    $CHANGES changes in $took ms: $(out recv .received) received, none lost, none reordered," \
	"$(out recv .hops) hops"
