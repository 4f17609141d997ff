#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   sluice gen, --> veth a ==== 1 queue =====> veth b: XDP --> CPUMAP --> kernel's stack, CPU 0 or 1
#   256 flows                                       --> sluice recv --kernel: next CPU every 5 ms
#
# Flows follow a program on the kernel's socket to and fro, and do not arrive out of order: not
# without loss, not when a queue of 64 loses a good part of them, not when the CPUs are
# overloaded, not as one flow alone. The bound that makes it so: a flow leaves its CPU when 80
# later packets of its queue were seen there (8 that the kernel's thread takes at a time, 64 that
# its GRO may hold), or when that thread has gone to sleep. Without the switch rule, in a build
# for this test, they do.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 HOP=5 SECONDS_EACH=${SLUICE_TEST_SECONDS:-20}
NO_RULE=$TB_BUILD/no-switch-rule

# RATE FLOWS SECONDS ARGUMENTS...: traffic through a fresh daemon with these arguments
run()
{
	local rate=$1 flows=$2 seconds=$3
	shift 3
	fresh 1
	daemon --workers 0,1 --default cpumap --kernel-rfs "$@"
	if grep -q "kernel-rfs:" "$TB_DIR/sluiced.err"; then
		skip "$(grep "kernel-rfs:" "$TB_DIR/sluiced.err")"
	fi
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --kernel --cpu 1 --hop $HOP \
		--rcvbuf 268435456 -t 60 -j
	sleep 0.3
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport $PORT --flows "$flows" \
		--size 64 --cpus 0 --rate "$rate" --time "$seconds" -j >"$TB_DIR/gen.out" ||
		fail "no traffic"
	sleep 0.5
	tb_stop recv
	sent=$(out gen .sent) got=$(out recv .received)
	lost=$(stat .books.cpu_lost) reordered=$(out recv .reordered)
	echo "rate $rate, $flows flows: sent $sent, received $got, lost in queues $lost," \
		"reordered $reordered, hops $(out recv .hops)"
	eventually books_are_closed || fail "the books do not close: $(stat .books)"
}

# Both CPUs had their share, and the program was moved all the time.
moved()
{
	local each
	[ "$(out recv .hops)" -ge $(($1 * 1000 / HOP / 4)) ] || fail "only $(out recv .hops) moves"
	for each in $(stat '.cpus[].received'); do
		[ "$each" -ge $((sent / 10)) ] || fail "a CPU has been given only $each of $sent"
	done
}

# RATE...: the first one at which hardly anything is lost
lossless()
{
	for rate; do
		run "$rate" 256 2
		[ $((lost * 1000)) -gt "$sent" ] || return 0
	done
	skip "even $rate packets a second are lost: the machine is too busy to tell"
}

tb_up 1
lossless 150000 100000 70000 50000 30000 20000 10000
run "$rate" 256 "$SECONDS_EACH"
equal "reordered" "$reordered" 0
moved "$SECONDS_EACH"

run 20000 1 5
equal "reordered in a single flow" "$reordered" 0
moved 5

for full in 400000 300000 200000 150000 100000 70000; do
	run $full 256 2 --cpumap-queue 64
	share=$((lost * 100 / sent))
	[ $share -gt 50 ] || break
done
run $full 256 "$SECONDS_EACH" --cpumap-queue 64
equal "reordered with losses" "$reordered" 0
[ "$lost" -gt $((sent / 50)) ] || fail "only $lost of $sent were lost, which proves little"

run 500000 256 5
equal "reordered when overloaded" "$reordered" 0

make -s -C "$TB_ROOT" BUILD="$NO_RULE" BPFDEFS=-DTEST_NO_SWITCH_RULE "$NO_RULE/sluiced" \
	>"$TB_DIR/make.out" 2>&1 ||
	fail "cannot build without the switch rule"
TB_BUILD=$NO_RULE
for again in "$rate" 500000 500000; do
	run "$again" 256 5
	[ "$reordered" = 0 ] || break
done
[ "$reordered" -gt 0 ] ||
	fail "nothing is reordered without the switch rule: this test proves nothing"
