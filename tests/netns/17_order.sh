#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen, --> veth a ==== 1 queue =====> veth b: XDP --> worker 0 (CPU 0), worker 1 (CPU 1)
#   256 flows                                       --> sluice recv: next CPU every 5 ms
#
# Flows follow the client to and fro, and never arrive out of order: not at the highest rate
# without loss, not with rings of 64 that lose a good part of them. Without the switch rule,
# in a build for this test, they do.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 FLOWS=256 HOP=5 SECONDS_EACH=${SLUICE_TEST_SECONDS:-20}
NO_RULE=$TB_BUILD/no-switch-rule

# RATE SECONDS ARGUMENTS...: traffic through a fresh daemon with these arguments
run()
{
	local rate=$1 seconds=$2
	shift 2
	fresh 1
	daemon --workers 0,1 "$@"
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --lane 16777216 --cpu 1 --hop $HOP -t 60 -j
	eventually serves $PORT || fail "not attached"
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport $PORT --flows $FLOWS \
		--size 64 --cpus 0 --rate "$rate" --time "$seconds" -j >"$TB_DIR/gen.out" ||
		fail "no traffic"
	sleep 0.3
	tb_stop recv
	sent=$(out gen .sent) got=$(out recv .received) lost=$((sent - got))
	ring_lost=$(stat .books.ring_lost) reordered=$(out recv .reordered)
	echo "rate $rate: sent $sent, received $got, lost in rings $ring_lost, reordered $reordered," \
		"hops $(out recv .hops), received by the kernel $(out recv .kernel)"
	# A ring that was full leaves a frame with the kernel.
	eventually books_are_closed || fail "the books do not close: $(stat .books)"
	[ "$ring_lost" != 0 ] || conserved
}

highest_rate()
{
	for rate in 800000 600000 500000 400000 300000 200000 100000 50000; do
		run $rate 2
		[ "$lost" != 0 ] || return 0
	done
	skip "even 50,000 packets a second are lost: the machine is too busy to tell"
}

# Both workers had their share, and the client was moved all the time.
moved()
{
	local each
	[ "$(out recv .hops)" -ge $(($1 * 1000 / HOP / 2)) ] || fail "only $(out recv .hops) moves"
	for each in $(stat '.napi[].delivered'); do
		[ "$each" -ge $((got / 10)) ] || fail "a worker delivered only $each of $got"
	done
}

tb_up 1
highest_rate
rate=$((rate * 3 / 4))
run "$rate" $SECONDS_EACH
equal "reordered without loss" "$reordered" 0
# Other load on the machine may take a worker its CPU for longer than a ring lasts.
[ $((lost * 50)) -le "$sent" ] || fail "lost $lost of $sent at a rate that lost none before"
moved $SECONDS_EACH

for full in 500000 400000 300000 220000 160000 120000 90000 60000 40000; do
	run $full 2 --ring 64
	share=$((ring_lost * 100 / sent))
	[ $share -gt 40 ] || break
done
run $full $SECONDS_EACH --ring 64
equal "reordered with losses" "$reordered" 0
share=$((ring_lost * 100 / sent))
{ [ $share -ge 10 ] && [ $share -le 50 ]; } || fail "$share % were lost, which proves little"
moved $SECONDS_EACH

# Long queues, where a switch at the wrong time tells at once: with the rule, and without.
overload=1000000
run $overload 5
equal "reordered when overloaded" "$reordered" 0

make -s -C "$TB_ROOT" BUILD="$NO_RULE" BPFDEFS=-DTEST_NO_SWITCH_RULE "$NO_RULE/sluiced" \
	>"$TB_DIR/make.out" 2>&1 ||
	fail "cannot build without the switch rule"
TB_BUILD=$NO_RULE
for again in "$rate" $overload $overload; do
	run "$again" 5
	[ "$reordered" = 0 ] || break
done
[ "$reordered" -gt 0 ] ||
	fail "nothing is reordered without the switch rule: this test proves nothing"
