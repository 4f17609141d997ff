#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                netns b
#   gen --> port 7000 (attached)   --> veth a ==> veth b: XDP --> a user's rule? --> worker --> recv
#   gen --> port 7001 (kernel's)                             \-> drop, pass, cpumap: kernel's socket
#
# Rules for a port come and go, and change their action, under traffic: each packet has one fate,
# which its rule has counted, and what no rule is for loses nothing. So does the default.
. "$(dirname "$0")/lib.sh"
need_cpus 2

COUNT=20000 CHANGES=${CHANGES:-150}

rule()
{
	tb_exec "$TB_B" "$SLUICE" rule "$@" -i "$TB_BDEV"
}

# JQ-CONDITION: packets that the user's rule has matched
matched()
{
	rule show -j | jq -r ".rules[] | select($1) | .packets"
}

# DESTINATION PORT [OPTIONS]...: how many were sent
to()
{
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$1" --dport "$2" --count $COUNT \
		--rate 50000 --dmac $TB_BMAC -j "${@:3}" | jq .sent
}

refused()
{
	local why=$1
	shift
	"$@" >"$TB_DIR/refused" 2>&1 && fail "$* was not refused"
	grep -q -- "$why" "$TB_DIR/refused" || fail "$*: $(cat "$TB_DIR/refused"), wanted: $why"
}

# NAME: received so far by a sluice recv --kernel, as its socket's queue was emptied
ends()
{
	tb_stop "$1"
	out "$1" .received
}

kernel_socket()
{
	tb_start kernel "$TB_B" "$SLUICE" recv --kernel -p 7001 -t 100 -j --rcvbuf 90000000
	sleep 0.3
}

tb_up 2
more_addresses
tb_exec "$TB_A" ethtool -K "$TB_ADEV" tx off >/dev/null
daemon --workers 1 --ring 32768
tb_start recv "$TB_B" "$SLUICE" recv -p 7000 -t 150 -j --lane 16777216 --rcvbuf 90000000
eventually serves 7000 || fail "not attached"

kernel_socket
rule add bind udp 7001 addr "$TB_B4" action drop || fail "add"
gone=$(to "$TB_B4" 7001)
left=$(to 10.77.0.4 7001)
rule add bind udp 7001 action drop || fail "add for any address"
gone2=$(to 10.77.0.4 7001)
foreign=$(to 10.77.0.99 7001)
equal "rule for the address" "$(matched ".address == \"$TB_B4\"")" "$gone"
equal "rule for any" "$(matched '.address == "*"')" "$gone2"
equal "verdict drop_rule" "$(stat .xdp.drop_rule)" $((gone + gone2))
equal "books: ruled out" "$(stat .books.ruled_out)" $((gone + gone2))
rule add bind udp 7001 action pass || fail "another action"
passed=$(to 10.77.0.4 7001)
equal "the rule keeps its count" "$(matched '.address == "*"')" $((gone2 + passed))
equal "verdict pass_rule" "$(stat .xdp.pass_rule)" "$passed"
equal "the kernel's socket" "$(ends kernel)" $((left + passed))
echo "ok    dropped $gone + $gone2, to another address $left, passed $passed, left $foreign alone"

refused "attach one" rule add bind udp 7001 action xsk
refused "already" rule add bind udp 7001 action pass
refused "no rule for tcp" rule del bind tcp 7001
refused "no protocol" rule add bind icmp 7 action drop
refused "no port" rule add bind udp 0 action drop
refused "no address" rule add bind udp 7 addr 10.0.0 action drop
refused "no address of a host" rule add bind udp 7 addr 0.0.0.0 action drop
refused "no action" rule add bind udp 7 action deny
refused "expected" rule add bind udp 7
refused "role mirror" rule set default drop
refused "role mirror" rule set default xsk
refused "only root" tb_exec "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups \
	"$SLUICE" rule set default pass -i "$TB_BDEV"
equal "rules after refusals" "$(rule show -j | jq '.rules | length')" 2
rule flush deny || fail "flush deny"
equal "rules after flush deny" "$(rule show -j | jq '.rules | length')" 2
rule flush bind || fail "flush bind"
equal "rules after flush bind" "$(rule show -j | jq '.rules | length')" 0
echo "ok    refusals, and flush by kind"

before=$(sock 7000 delivered)
rule add bind udp 7000 action pass || fail "before the socket"
around=$(to "$TB_B4" 7000)
rule del bind udp 7000 || fail "del"
through=$(to "$TB_B4" 7000)
eventually serves 7000 $((before + through)) || fail "the socket's own rule is not back"
equal "through the lane" "$(sock 7000 delivered)" $((before + through))
echo "ok    a user's rule comes before that of a socket: $around past the lane, then $through by it"

dropped=$(stat .xdp.drop_rule)
kernel_socket
generate gen --dst "$TB_B4" --dport 7000 --flows 16 --rate 20000 --time 100
generate other --dst "$TB_B4" --dport 7001 --flows 16 --rate 8000 --time 100
eventually serves 7000 $((before + through + 1000)) || fail "no traffic"
actions=(drop pass cpumap)
for ((i = 0; i < CHANGES; i++)); do
	case $((i % 5)) in
	0 | 1 | 2) rule add bind udp 7001 action "${actions[i % 3]}" 2>/dev/null ;;
	3) rule set default $([ $((i % 2)) = 0 ] && echo pass || echo cpumap) ;;
	4) rule flush bind ;;
	esac || rule show -j | jq -e '.rules | length == 1' >/dev/null || fail "change $i"
done
rule set default pass || fail "default"
tb_stop gen
tb_stop other
sleep 0.5
now=$(($(stat .xdp.drop_rule) - dropped)) by_cpu=$(stat .xdp.redirect_cpu)
came=$(ends kernel) sent=$(out other .sent)
equal "neither dropped by a rule nor received" $((sent - came - now)) 0
[ $now -gt 0 ] && [ "$by_cpu" -gt 0 ] || fail "rules: $now dropped, $by_cpu by CPU"
conserved
tb_stop recv
equal "received" "$(out recv .received)" $((before + through + around + $(out gen .sent)))
equal "lost" "$(out recv .lost)" 0
nothing_kept
echo "ok    $CHANGES changes: of $sent $now dropped by rule, $came received, $by_cpu of all by" \
	"CPU; attached: $(out gen .sent) of $(out gen .sent)"
