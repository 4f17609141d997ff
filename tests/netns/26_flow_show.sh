#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                      netns b, 2 queues
#   sluice gen on CPU 0, 8 flows of IPv4 --> veth a ==> veth b queue 0: XDP --> worker 1 --> CPU 1
#   sluice gen on CPU 1, 4 flows of IPv6 -->                  queue 1:     --> worker 0 --> CPU 0
#
# sluice flow show lists these flows and no others while their packets arrive: addresses, queue,
# the CPU that wants them, the worker that has them; each condition selects exactly.
. "$(dirname "$0")/lib.sh"
need_cpus 2

# Larger than one answer of the daemon, so that it takes several; and no two flows in one entry.
ENTRIES=1048576

# CONDITION...: as JSON
flows()
{
	tb_exec "$TB_B" "$SLUICE" flow show "$@" -i "$TB_BDEV" -j
}

# WANTED CONDITION...: so many flows fit
fit()
{
	local n=$1
	shift
	equal "flows that fit '$*'" "$(flows "$@" | jq '.flows | length')" "$n"
	equal "told that fit '$*'" "$(flows "$@" | jq .matched)" "$n"
}

# All are where their reader is.
settled()
{
	flows | jq -e '(.flows | length) == 12 and all(.flows[];
		.wanted == .worker and .worker == (if .dport == 7000 then 1 else 0 end))' >/dev/null
}

# PATTERN CONDITION...: refused with a line like that
wrong()
{
	local pattern=$1
	shift
	refuses "$*" 2 "$pattern" "$SLUICE" flow show "$@" -i "$TB_BDEV"
}

tb_up 2
daemon --workers 0,1 --rps-flow-cnt $ENTRIES
equal "flows at the start" "$(flows | jq .matched)" 0
tb_start four "$TB_B" "$SLUICE" recv -p 7000 -t 120 -j --cpu 1
tb_start six "$TB_B" "$SLUICE" recv -6 -p 7006 -t 120 -j --cpu 0
eventually serves 7000 || fail "not attached"
eventually serves 7006 || fail "not attached"
generate gen4 --dst "$TB_B4" --dmac "$TB_BMAC" --sport 21000 --dport 7000 --flows 8 --rate 4000 \
	--time 20 --cpus 0
generate gen6 --dst "$TB_B6" --dmac "$TB_BMAC" --sport 22000 --dport 7006 --flows 4 --rate 2000 \
	--time 20 --cpus 1
eventually settled || fail "flows: $(flows)"

all=$(flows)
equal "sources" "$(jq -c '[.flows[] | select(.dport == 7000) | .sport]' <<<"$all")" \
	"[21000,21001,21002,21003,21004,21005,21006,21007]"
equal "IPv4 flows" "$(jq -c '[.flows[] | select(.dport == 7000) |
	[.proto, .src, .dst, .queue, .wanted, .cpu, .worker, .slot_of]] | unique' <<<"$all")" \
	"[[17,\"$TB_A4\",\"$TB_B4\",0,1,1,1,\"flow\"]]"
equal "IPv6 flows" "$(jq -c '[.flows[] | select(.dport == 7006) |
	[.proto, .src, .dst, .queue, .wanted, .cpu, .worker, .slot_of]] | unique' <<<"$all")" \
	"[[17,\"$TB_A6\",\"$TB_B6\",1,0,0,0,\"flow\"]]"
jq -e 'all(.flows[]; .under_way <= 4096 and (.tail - .last_qtail) >= 0 and .slot < 262144 and
	.entry < '$ENTRIES' and (has("filter") | not))' <<<"$all" >/dev/null || fail "members: $all"
one=$(jq -r '.flows[3].hash' <<<"$all")
said=$(tb_exec "$TB_B" "$SLUICE" explain udp "$TB_A4:21003" "$TB_B4:7000" -i "$TB_BDEV" -j)
equal "hash and slot" "$(jq -c '.flows[3] | [.hash, .slot]' <<<"$all")" \
	"$(jq -c '[.hash, .slot]' <<<"$said")"
echo "ok    12 flows under traffic: addresses, queue, wanted CPU, worker"

fit 12 proto udp
fit 0 proto tcp
fit 8 src "$TB_A4"
fit 8 src 10.77.0.0/24 dst "$TB_B4"
fit 8 src 0.0.0.0/0
fit 4 src fd77::/16
fit 0 src ::/16
fit 0 src 10.78.0.0/16
fit 4 dst ::/0
fit 4 dst "$TB_B6/128"
fit 1 sport 21005
fit 0 sport 7000
fit 8 dport 7000
fit 8 port 7000
fit 1 port 22003
fit 8 addr "$TB_B4"
fit 4 addr "$TB_A6"
fit 0 dst "$TB_A4"
fit 1 hash "$one"
fit 8 queue 0
fit 4 queue 1
fit 0 queue 1 src "$TB_A4"
fit 1 proto 17 src "$TB_A4" dst "$TB_B4" sport 21003 dport 7000 queue 0 hash "$one"
wrong 'bits set' src 10.77.0.1/24
wrong 'does not take' sport 65536
wrong 'does not take' addr 10.77.0.0/24
wrong 'is none of' from 10.77.0.1
wrong 'missing' src
wrong 'twice' sport 1 sport 2
echo "ok    each condition selects exactly"

equal "a limit" "$(flows -n 5 | jq -c '[.shown, .matched, (.flows | length)]')" "[5,12,5]"
text=$(tb_exec "$TB_B" "$SLUICE" flow show -n 5 -i "$TB_BDEV")
grep -q '^7 more flows' <<<"$text" || fail "no note: $text"
equal "rows" "$(grep -c '^udp ' <<<"$text")" 5
grep -q 'entries used' <<<"$text" || fail "no summary: $text"
equal "entries of CPU 1" "$(flows | jq '.cpus[] | select(.cpu == 1) | .entries')" 8
# What goes to the kernel's stack has flows, too.
tb_exec "$TB_B" "$SLUICE" rule add bind udp 7010 action cpumap -i "$TB_BDEV" || fail "rule"
tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dmac "$TB_BMAC" --sport 23000 \
	--dport 7010 --flows 5 --count 50 --rate 1000 --cpus 0 -j >"$TB_DIR/gen.out" || fail "gen"
equal "flows to the kernel" "$(flows dport 7010 | jq -c '[.flows[] |
	[.sport, .queue, .cpu < 2, has("worker"), .last_qtail > 0]] | unique')" \
	"$(jq -nc '[range(23000; 23005) | [., 0, true, false, true]]')"
tb_exec "$TB_B" "$SLUICE" flow show dport 7010 -i "$TB_BDEV" | grep -cE '^udp .* cpu [01] ' |
	grep -qx 5 || fail "targets: $(tb_exec "$TB_B" "$SLUICE" flow show dport 7010 -i "$TB_BDEV")"

tb_exec "$TB_B" setpriv --reuid 65534 --regid 65534 --clear-groups "$SLUICE" flow -i "$TB_BDEV" \
	>"$TB_DIR/said" 2>&1 && fail "flows are shown to anyone"
grep -q 'only root' "$TB_DIR/said" || fail "an ordinary user is told $(cat "$TB_DIR/said")"

tb_stop sluiced || fail "sluiced ends with $?"
daemon --workers 0,1 --flow-keys 0
tb_stop four
tb_start again "$TB_B" "$SLUICE" recv -p 7000 -t 120 -j --cpu 1
eventually serves 7000 100 || fail "not attached again"
eventually eval 'flows | jq -e ".matched > 0" >/dev/null' || fail "no flow without keys"
flows | jq -e 'all(.flows[]; has("src") | not)' >/dev/null || fail "addresses from nowhere"
fit 0 src "$TB_A4"
tb_exec "$TB_B" "$SLUICE" flow -i "$TB_BDEV" | grep -q 'flow-keys 0' || fail "no reason is given"
echo "ok    limits, and no addresses where they are not kept"
