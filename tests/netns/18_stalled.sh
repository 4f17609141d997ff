#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen, --> veth a ==== 1 queue =====> veth b: XDP --+--> worker (CPU 1) --> lane --+--> recv
#   16 flows                                                 +--> kernel socket ------------+
#
# A daemon that is stopped loses its traffic to the kernel within 300 ms, and has it back when
# it goes on; so does a single worker, beside which the other one goes on as if nothing were. After
# 5,000 packets that found nobody to take them, or no frame, the next ones are delivered.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 RATE=50000

# FIELD: of the receiver's last line
now()
{
	tail -n 1 "$TB_DIR/recv.out" | jq -r ".$1 // 0"
}

# Packets passed to the kernel for a stalled worker so far: from the map, the daemon being stopped
passed_stalled()
{
	tb_exec "$TB_B" bpftool -j map dump pinned "/sys/fs/bpf/sluice/$TB_BDEV/softnet_stat" |
		jq "[.[0].formatted.values[].value.verdict[$VERDICT]] | add"
}

received_more()
{
	[ "$(now received)" -gt "$1" ]
}

VERDICT=$(awk '/^#define SLUICE_VERDICT_LIST/ { on = 1; next } on && !/X\(/ { exit }
	/X\(PASS_STALLED,/ { print n; exit } on { n++ }' "$TB_ROOT/include/sluice/steer.h")

tb_up 1
daemon --workers 1 --ring 4096
tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --cpu 1 --interval 20 --rcvbuf 268435456 -t 60 -j
eventually serves $PORT || fail "not attached"
generate gen --dst "$TB_B4" --dport $PORT --flows 16 --size 64 --cpus 0 --rate $RATE --time 30
eventually serves $PORT 10000 || fail "no traffic"
equal "passed before" "$(passed_stalled)" 0

for round in 1 2 3; do
	before=$(passed_stalled)
	tb_signal sluiced STOP
	# What the lane held is read within this time; half a ring is full after 41 ms.
	sleep 0.1
	got=$(now received) start=$(date +%s%N)
	eventually received_more "$got" || fail "nothing arrives while the daemon is stopped"
	waited=$((($(date +%s%N) - start) / 1000000 + 100))
	echo "round $round: the kernel delivers $waited ms after the stop"
	# The receiver reports every 20 ms.
	[ $waited -le 320 ] || fail "$waited ms"
	sleep 0.3
	passed=$(passed_stalled)
	[ $((passed - before)) -gt $((RATE / 10)) ] || fail "only $((passed - before)) passed"
	tb_signal sluiced CONT
	sleep 0.2
	passed=$(passed_stalled) lane=$(sock $PORT delivered)
	eventually serves $PORT $((lane + RATE / 4)) || fail "sluice does not deliver again"
	equal "passed after it went on" "$(passed_stalled)" "$passed"
done
tb_stop gen
sleep 0.3
tb_stop recv
conserved

# COUNT RATE
burst()
{
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport $PORT --flows 16 --size 64 \
		--cpus 0 --count "$1" --rate "$2" >/dev/null || fail "no traffic"
}

# ARGUMENTS...: the daemon is stopped for 5,000 packets, more than it has room for
overrun()
{
	local before
	fresh 1
	daemon --workers 0,1 "$@"
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --cpu 1 -t 60 -j
	eventually serves $PORT || fail "not attached"
	burst 1000 50000
	eventually serves $PORT 1000 || fail "lost some of 1,000"
	tb_signal sluiced STOP
	burst 5000 200000
	tb_signal sluiced CONT
	sleep 0.3
	lost=$(stat .books.ring_lost)
	[ "$lost" -gt 2000 ] || fail "only $lost were lost"
	before=$(sock $PORT delivered)
	burst 100 1000
	echo "$*: lost $lost of 5000; then delivered $(($(sock $PORT delivered) - before)) of 100"
	eventually serves $PORT $((before + 100)) || fail "not all are delivered"
	# The flows are free to move again: all go to the worker beside the client, which moves.
	tb_signal recv USR1
	burst 100 1000
	sleep 0.1
	before=$(stat '.napi[] | select(.cpu == 0) | .delivered')
	burst 100 1000
	eventually serves $PORT 0
	equal "delivered beside the client" \
		$(($(stat '.napi[] | select(.cpu == 0) | .delivered') - before)) 100
	tb_stop recv
	equal "reordered" "$(out recv .reordered)" 0
	eventually books_are_closed || fail "the books do not close: $(stat .books)"
}

overrun --ring 1024
# As many frames as one ring holds: the fill ring runs empty first.
overrun --ring 1024 --umem 1024

# PORT: datagrams for it so far
delivered_to()
{
	sock "$1" delivered
}

# PORT COUNT RATE
burst_to()
{
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport "$1" --flows 16 --size 64 \
		--cpus 0 --count "$2" --rate "$3" >/dev/null || fail "no traffic"
}

# CPU: delivered by its worker so far
delivered_on()
{
	stat ".napi[] | select(.cpu == $1) | .delivered"
}

# PORT CPU: sends until the flows are with the worker on this CPU
settled()
{
	local before i
	for ((i = 0; i < 20; i++)); do
		before=$(delivered_on "$2")
		burst_to "$1" 160 10000
		sleep 0.1
		[ $(($(delivered_on "$2") - before)) != 160 ] || return 0
	done
	fail "the flows to port $1 do not come to CPU $2"
}

freeze()
{
	tb_start freeze "$TB_B" "$TOOLS/freeze" "${TB_PID[sluiced]}" 1
	tb_expect freeze frozen || fail "cannot stop a thread"
}

# ARGUMENTS...: the worker of one client stands still, that of the other does not
single()
{
	local before
	fresh 1
	# Flows of the two that share an entry would wait for each other.
	daemon --workers 0,1 --ring 1024 --rps-flow-cnt 1048576 "$@"
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --cpu 1 --interval 20 --rcvbuf 268435456 -t 60 -j
	tb_start beside "$TB_B" "$SLUICE" recv -p 7001 --cpu 0 -t 60 -j
	eventually serves $PORT && eventually serves 7001 || fail "not attached"
	settled $PORT 1
	settled 7001 0
	before=$(delivered_to $PORT)
	freeze
	burst_to $PORT 5000 200000
	equal "delivered by a worker that stands still" $(($(delivered_to $PORT) - before)) 0
	beside=$(delivered_to 7001)
	burst_to 7001 500 10000
	sleep 0.1
	beside=$(($(delivered_to 7001) - beside))
	tb_stop freeze
	sleep 0.3
	before=$(delivered_to $PORT)
	burst_to $PORT 100 1000
	eventually serves $PORT $((before + 100)) ||
		fail "delivered $(($(delivered_to $PORT) - before)) of 100 after it went on"
	before=$(delivered_to 7001)
	burst_to 7001 100 1000
	eventually serves 7001 $((before + 100)) ||
		fail "beside it, delivered $(($(delivered_to 7001) - before)) of 100 afterwards"
	echo "one worker${*:+, }$*: lost $(stat .books.ring_lost) of 5000, then delivered 100 of 100;" \
		"beside it $beside of 500, then 100 of 100"
}

# Rings of frames enough: nobody beside it notices.
single
equal "beside it" "$beside" 500
# Frames for one ring only: the worker that stands still has all of them.
single --umem 1024
[ "$beside" -lt 500 ] || fail "the fill ring was not starved"

# In lasting traffic, what the frozen worker does not take goes to the kernel.
single
generate gen --dst "$TB_B4" --dport $PORT --flows 16 --size 64 --cpus 0 --rate $RATE --time 20
eventually serves $PORT 10000 || fail "no traffic"
freeze
sleep 0.1
got=$(now received) start=$(date +%s%N)
eventually received_more "$got" || fail "nothing arrives while the worker is stopped"
waited=$((($(date +%s%N) - start) / 1000000 + 100))
echo "one worker: the kernel delivers $waited ms after the stop"
[ $waited -le 320 ] || fail "$waited ms"
tb_stop freeze
sleep 0.2
lane=$(delivered_to $PORT)
eventually serves $PORT $((lane + RATE / 4)) || fail "sluice does not deliver again"
tb_stop gen
sleep 0.3
eventually books_are_closed || fail "the books do not close: $(stat .books)"
