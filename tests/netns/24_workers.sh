#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen, --> veth a ==== 1 queue =====> veth b: XDP --> worker on CPU 0, or 1, or both
#   256 flows                                       --> sluice recv: next CPU every 5 ms
#
# Workers are added and removed again and again under traffic, each of the two in turn. Nothing
# is lost and nothing reordered; overloaded, nothing is reordered. Nothing is used up by it:
# frames, descriptors, memory; and the books close over workers that are gone.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 FLOWS=256
# Overloaded: until workers did not catch up so many times.
CYCLES=${CYCLES:-200} OVERLOADED=${OVERLOADED:-12} TORN=${TORN:-8} RINGS=${RINGS:-40}

worker()
{
	tb_exec "$TB_B" "$SLUICE" worker "$@"
}

rps()
{
	tb_exec "$TB_B" "$SLUICE" rps "$@"
}

cpus()
{
	worker show -j | jq -r '[.workers[].cpu] | sort | join(",")'
}

masks()
{
	rps show -j | jq -r '[.queues[].rps_cpus] | join(" ")' | sed 's/\b0*\([0-9a-f]\)/\1/g'
}

# WHY ARGUMENTS...: of sluice worker
refused()
{
	local why=$1 before
	shift
	before="$(cpus) $(masks)"
	worker "$@" >"$TB_DIR/refused" 2>&1 && fail "worker $* was not refused"
	grep -q -- "$why" "$TB_DIR/refused" ||
		fail "worker $*: $(cat "$TB_DIR/refused"), wanted: $why"
	equal "after the refused worker $*" "$(cpus) $(masks)" "$before"
}

# KiB that the daemon holds, without the UMEM and the lanes, which it shares
memory()
{
	awk '/^RssAnon/ { print $2 }' "/proc/${TB_PID[sluiced]}/status"
}

# CPU: away and back
cycle()
{
	worker del "$1" >"$TB_DIR/note" && worker add "$1" || fail "cycle with CPU $1"
	[ ! -s "$TB_DIR/note" ] || fail "cycle with CPU $1: $(cat "$TB_DIR/note")"
}

# The client reads what is under way, and ends.
finish()
{
	tb_wait gen || fail "the generator ended with $?"
	sleep 0.3
	tb_stop recv
	sent=$(out gen .sent) got=$(out recv .received) lost=$((sent - got))
	ring_lost=$(stat .books.ring_lost) torn=$(stat .gone.torn_off)
	stalled=$(stat .xdp.pass_stalled)
	equal "received by the kernel" "$(out recv .kernel)" "$stalled"
	# Between the two ways order is not kept.
	[ "$stalled" != 0 ] || equal "reordered" "$(out recv .reordered)" 0
	equal "lost, and lost in rings or for want of room" "$lost" \
		$((ring_lost + $(stat .books.dropped)))
	eventually books_are_closed || fail "the books do not close: $(stat .books)"
}

# The worker on CPU 1 runs for 1 ms at a time, and then not for as long as its ring takes to fill
throttle()
{
	tb_start freeze "$TB_B" "$TOOLS/freeze" "${TB_PID[sluiced]}" 1 50 1
	tb_expect freeze frozen || fail "cannot throttle a thread"
}

# NAME RATE CYCLES ARGUMENTS...: cycles under traffic at a fresh daemon
run()
{
	local name=$1 rate=$2 cycles=$3 i start
	shift 3
	fresh 1
	daemon --workers 0,1 "$@"
	# The first XSK of the queue stays when its worker goes: one descriptor more from then on.
	cycle 0
	cycle 1
	descriptors=$(fds) before=$(memory)
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --lane 67108864 --cpu 1 --hop 5 -t 150 -j
	eventually serves $PORT || fail "not attached"
	[ "$name" != overloaded ] || throttle
	start=$(date +%s%N)
	generate gen --dst "$TB_B4" --dport $PORT --flows $FLOWS --size 64 --cpus 0 \
		--rate "$rate" --time 120
	eventually serves $PORT 1000 || fail "no traffic"
	for ((i = 0; i < cycles; i++)); do
		if [ "$name" = overloaded ]; then
			sleep 0.3
			cycle 1
			[ "$(stat .gone.torn_off)" -lt "$TORN" ] || break
		else
			cycle $((i % 2))
		fi
	done
	took=$((($(date +%s%N) - start) / 1000000))
	tb_stop freeze
	tb_signal gen INT
	finish
	nothing_kept
	# The allocator keeps some of what lanes and packets used.
	grown=$(($(memory) - before))
	[ $grown -lt 12288 ] || fail "the daemon has grown by $grown KiB"
	echo "ok    $name: $i cycles in $took ms, sent $sent, lost in rings $ring_lost," \
		"torn off $torn, grown by $grown KiB"
}

tb_up 2
daemon --workers 0
equal "workers" "$(cpus)" 0
equal "at most" "$(worker -j | jq .max)" 2
refused "has a worker already" add 0
refused "the last worker" del 0
refused "has no worker" del 1
refused "there is no CPU 5000" add 5000
refused "no number" add one
refused "expected" add
tb_exec "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups "$SLUICE" worker add 1 \
	>"$TB_DIR/refused" 2>&1 && fail "a user may add workers"
grep -q "only root" "$TB_DIR/refused" || fail "worker add: $(cat "$TB_DIR/refused")"
worker add 1 || fail "add"
equal "workers" "$(cpus)" 0,1
equal "masks follow" "$(masks)" "3 3"
rps set dev "$TB_BDEV" queue 0 cpus 2 || fail "set"
worker del 1 >"$TB_DIR/note" || fail "del"
grep -q "queue 0$" "$TB_DIR/note" || fail "del says: $(cat "$TB_DIR/note")"
equal "masks" "$(masks)" "1 1"
worker add 1 && equal "a mask that was forgotten follows" "$(masks)" "3 3"
rps set dev "$TB_BDEV" queue 0 cpus 1 && worker del 1 && worker add 1 || fail "cycle"
equal "a user's mask stays" "$(masks)" "1 3"
tb_stop sluiced
daemon --workers 0 --max-workers 1
refused "memory for 1 workers only.*--max-workers 2" add 1
tb_exec "$TB_B" "$TB_BUILD/sluiced" -i "$TB_BDEV" --workers 0,1 --max-workers 1 \
	2>"$TB_DIR/refused" && fail "--max-workers below --workers"
grep -q "max-workers 1" "$TB_DIR/refused" || fail "$(cat "$TB_DIR/refused")"
echo "ok    refusals and masks"

fresh 2
daemon --workers 0,1
for ((i = 0; i < 10; i++)); do
	cycle $((i % 2))
done
before=$(memory) descriptors=$(fds)
for ((i = 0; i < 20; i++)); do
	cycle $((i % 2))
done
grown=$(($(memory) - before))
[ $grown -lt 64 ] || fail "the daemon has grown by $grown KiB in 20 cycles without traffic"
nothing_kept
conserved
tb_exec "$TB_B" "$SLUICE" stat -i "$TB_BDEV" | grep -q "^workers that were removed: 30;" ||
	fail "stat does not tell of the workers that are gone"
echo "ok    nothing is kept of a worker that is gone"

for rate in 300000 200000 100000 50000; do
	run "trial at $rate" $rate 4
	[ "$lost" != 0 ] || break
done
[ "$lost" = 0 ] || skip "even $rate packets a second are lost: the machine is too busy to tell"
run "without loss" $((rate * 2 / 3)) "$CYCLES" --ring 16384
equal "lost" "$lost" 0
conserved

# Where other load takes the worker its CPU, too, for 200 ms, it is passed by, and order not kept.
for try in 1 2 3; do
	run overloaded 400000 "$OVERLOADED" --ring 16384
	[ "$stalled" != 0 ] || break
	echo "$stalled packets were passed by a worker that stood still for too long: once more"
done
[ "$stalled" = 0 ] || skip "the machine is too busy to tell"
[ "$torn" -gt 0 ] || fail "every worker caught up: the test does not overload them"
run "rings of 64" 300000 "$RINGS" --ring 64
[ "$ring_lost" -gt 0 ] || fail "no ring overflowed"
