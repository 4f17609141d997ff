#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                               netns b
#   sluice gen --> veth a ==> veth b: XDP --> CPUMAP --> kernel's stack on CPU 0 or 1
#   64 flows            ^ or not: sluice rule set default, rps set     --> sluice recv --kernel
#
# CPUMAP and --kernel-rfs go on and off under traffic, and nothing is lost; the kernel has threads
# for it only while something needs them. RFS works after each change of its table. The daemon
# is killed: traffic goes on.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 RATE=10000 CHANGES=${CHANGES:-100}

sluice()
{
	tb_exec "$TB_B" "$SLUICE" "$@"
}

# Entries of cpu_map, each a thread of the kernel
threads()
{
	tb_exec "$TB_B" bpftool -j map dump pinned "/sys/fs/bpf/sluice/$TB_BDEV/cpu_map" |
		jq 'map(select(.value | type == "array")) | length'
}

# Programs that record into this daemon's table; they go some time after their links.
programs()
{
	local map
	map=$(tb_exec "$TB_B" bpftool -j map show pinned \
		"/sys/fs/bpf/sluice/$TB_BDEV/rps_sock_flow" | jq .id)
	bpftool -j prog show |
		jq "map(select(.type != \"xdp\" and (.map_ids // [] | index($map)))) | length"
}

no_programs()
{
	[ "$(programs)" = 0 ]
}

on_cpu()
{
	stat ".cpus[] | select(.cpu == $1) | .received"
}

# CPU: 95 % of what comes by CPUMAP in a while is processed there; two flows may share a slot
follows()
{
	local here=$1 a b
	a=($(on_cpu 0) $(on_cpu 1))
	sleep 0.5
	b=($(on_cpu 0) $(on_cpu 1))
	b=($((b[0] - a[0])) $((b[1] - a[1])))
	echo "client on CPU $here: ${b[here]} packets there, ${b[1 - here]} on the other"
	[ "${b[here]}" -gt $((RATE / 5)) ] && [ $((b[here] * 100)) -ge $(((b[0] + b[1]) * 95)) ]
}

received_more()
{
	[ "$(tail -n 1 "$TB_DIR/recv.out" | jq .received)" -gt "$1" ]
}

tb_up 1
daemon --workers 0,1 --cpumap-queue 16384
equal "threads at the start" "$(threads)" 0
equal "kernel-rfs" "$(sluice rps show -j | jq -r .kernel_rfs)" off
sluice rps set entries 0 && sluice rps set kernel-rfs on 2>"$TB_DIR/refused" &&
	fail "kernel-rfs without a table"
grep -q "RFS is off" "$TB_DIR/refused" || fail "refused with: $(cat "$TB_DIR/refused")"
sluice rps set kernel-rfs perhaps 2>/dev/null && fail "kernel-rfs perhaps"
sluice rps set entries 131072 || fail "entries"
if ! sluice rps set kernel-rfs on 2>"$TB_DIR/refused"; then
	skip "$(cat "$TB_DIR/refused")"
fi
[ "$(programs)" -gt 0 ] || fail "no programs when on"
sluice rps set kernel-rfs off && eventually no_programs || fail "programs when off: $(programs)"

tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --kernel --cpu 1 --rcvbuf 268435456 -t 170 \
	--interval 50 -j
sleep 0.3
generate gen --dst "$TB_B4" --dport $PORT --flows 64 --rate $RATE --cpus 0 --time 160
eventually received_more 100 || fail "no traffic"
equal "packets by CPUMAP" "$(stat .books.redirected_cpu)" 0

sluice rule set default cpumap || fail "default"
equal "threads" "$(threads)" 2
grep -q "ethtool -K DEV tx off" "$TB_DIR/sluiced.err" || fail "nothing is said about checksums"
sleep 0.3
[ "$(on_cpu 0)" -gt 100 ] || fail "all flows are on CPU 1: RFS is not off"
# A mask may name what is in cpu_map, worker or not.
sluice worker del 1 && sluice rps set dev "$TB_BDEV" queue 0 cpus 2 || fail "a mask without workers"
sleep 0.3
got=$(on_cpu 0)
sleep 0.2
[ $(($(on_cpu 0) - got)) -lt 100 ] || fail "the mask is CPU 1 alone"
sluice worker add 1 && sluice rps set dev "$TB_BDEV" queue 0 cpus 3 || fail "a worker again"
sluice rps set kernel-rfs on || fail "on"
sleep 0.2
follows 1 || fail "switched on"
sluice rps set entries 65536 || fail "entries"
sleep 0.2
follows 1 || fail "after another size of the table"
tb_signal recv USR1
sleep 0.2
follows 0 || fail "after a move"
sluice rps set kernel-rfs off || fail "off"
tb_signal recv USR1
sleep 0.2
follows 1 && fail "switched off, flows follow all the same"
eventually no_programs || fail "programs when off: $(programs)"

rounds=0
for ((i = 0; i < CHANGES; i++)); do
	case $((i % 4)) in
	0) sluice rps set kernel-rfs on ;;
	1) sluice rule set default pass && equal "threads" "$(threads)" 0 ;;
	2) sluice rule set default cpumap && equal "threads" "$(threads)" 2 ;;
	3) sluice rps set kernel-rfs off && rounds=$((rounds + 1)) ;;
	esac || fail "change $i"
done
sluice rule set default pass
sluice rule add bind udp $PORT action cpumap || fail "rule"
equal "threads by a rule" "$(threads)" 2
sleep 0.2
eventually books_are_closed
sluice rule flush || fail "flush"
equal "threads after the rule" "$(threads)" 0
tb_stop gen
sleep 0.3
tail -n 1 "$TB_DIR/recv.out" >"$TB_DIR/last.out"
lost=$(stat .books.cpu_lost)
[ $(($(out last .received) + lost)) = "$(out gen .sent)" ] ||
	fail "sent $(out gen .sent); $(jq -c . "$TB_DIR/last.out")"
# On a busy machine the generator makes up for a pause by a burst.
[ "$lost" = 0 ] || echo "lost in full queues: $lost"
[ $((lost * 5)) -lt "$(out gen .sent)" ] || fail "lost $lost of $(out gen .sent)"
conserved

sluice rule set default cpumap && sluice rps set kernel-rfs on || fail "on again"
generate gen --dst "$TB_B4" --dport $PORT --flows 64 --rate $RATE --cpus 0 --time 30
sleep 0.5
got=$(tail -n 1 "$TB_DIR/recv.out" | jq .received)
tb_stop sluiced KILL
start=$(date +%s%N)
eventually received_more $((got + RATE / 2)) || fail "nothing arrives after the daemon's death"
echo "killed: $((RATE / 2)) more received $((($(date +%s%N) - start) / 1000000)) ms later"
eventually no_programs || fail "programs left behind: $(programs)"
daemon --workers 0,1 --default cpumap --kernel-rfs
sleep 0.3
follows 1 || fail "after a new start"
tb_stop gen
tb_stop recv
tb_stop sluiced
echo "ok    $CHANGES changes under traffic, $rounds rounds"
