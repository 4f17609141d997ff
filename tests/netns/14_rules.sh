#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                            netns b
#   sluice gen from 10.77.0.1 (kept)   --> veth a ==> veth b: XDP --> deny? --> worker --> sluice recv
#   sluice gen from 10.99.x.y (denied)                          \-> dropped, counted by rule
#
# Denied sources reach neither a client nor the kernel, the rule of the longest prefix has
# counted each of their packets, and nobody else loses one: while rules come and go, too.
. "$(dirname "$0")/lib.sh"
need_cpus 2

COUNT=20000 CHANGES=${CHANGES:-200}

rule()
{
	tb_exec "$TB_B" "$SLUICE" rule "$@" -i "$TB_BDEV"
}

# PREFIX: packets that its rule has matched
denied()
{
	rule show -j | jq -r ".deny[] | select(.prefix == \"$1\") | .packets"
}

# SOURCE DESTINATION PORT COUNT: sent one after the other; how many
from()
{
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --src "$1" --dst "$2" --dport "$3" --count "$4" \
		--rate 50000 --dmac $TB_BMAC -j | jq .sent
}

refused()
{
	local why=$1
	shift
	"$@" >"$TB_DIR/refused" 2>&1 && fail "$* was not refused"
	grep -q -- "$why" "$TB_DIR/refused" || fail "$*: $(cat "$TB_DIR/refused"), wanted: $why"
}

tb_up 2
daemon --workers 1 --ring 32768
tb_start recv "$TB_B" "$SLUICE" recv -p 7000 -t 90 -j --lane 16777216
tb_start recv6 "$TB_B" "$SLUICE" recv -6 -p 7006 -t 90 -j
tb_start kernel "$TB_B" "$SLUICE" recv --kernel -p 7001 -t 90 -j --rcvbuf 8000000
eventually serves 7000 || fail "not attached"
eventually serves 7006 || fail "IPv6: not attached"

rule add deny 10.99.0.0/16 || fail "add"
rule add deny 10.99.7.0/24 || fail "add"
rule add deny fd99::/32 || fail "add"
wide=$(from 10.99.1.1 "$TB_B4" 7000 $COUNT)
narrow=$(from 10.99.7.1 "$TB_B4" 7001 $((COUNT / 2)))
six=$(from fd99::5 "$TB_B6" 7006 $COUNT)
kept=$(from "$TB_A4" "$TB_B4" 7000 $COUNT)
kept6=$(from "$TB_A6" "$TB_B6" 7006 $COUNT)
equal "10.99.0.0/16" "$(denied 10.99.0.0/16)" "$wide"
equal "10.99.7.0/24" "$(denied 10.99.7.0/24)" "$narrow"
equal "fd99::/32" "$(denied fd99::/32)" "$six"
equal "verdict drop_deny" "$(stat .xdp.drop_deny)" $((wide + narrow + six))
equal "books: denied" "$(stat .books.denied)" $((wide + narrow + six))
eventually serves 7000 "$kept" || fail "the kept ones were not delivered"
equal "delivered" "$(sock 7000 delivered)" "$kept"
eventually serves 7006 "$kept6" || fail "the kept ones were not delivered (IPv6)"
equal "bind rule" "$(rule show -j | jq '.bind[] | select(.port == 7000) | .packets')" "$kept"
equal "bind rule, IPv6" "$(rule show -j | jq '.bind[] | select(.port == 7006) | .packets')" "$kept6"
equal "bind rule: state" "$(rule show -j | jq -r '.bind[] | select(.port == 7000) | .state')" open
echo "ok    denied $wide + $narrow + $six, kept $kept + $kept6, each counted by its rule"

refused "denied already" rule add deny 10.99.0.0/16
refused "10.98.0.0/16 is the prefix" rule add deny 10.98.0.1/16
refused "no prefix" rule add deny 10.98.0.0/33
refused "no rule for" rule del deny 10.98.0.0/16
for verb in "add deny 10.98.0.0/16" "flush deny" show; do
	# shellcheck disable=SC2086
	refused "only root" tb_exec "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$SLUICE" rule $verb -i "$TB_BDEV"
done
equal "rules after refusals" "$(rule show -j | jq '.deny | length')" 3
echo "ok    refusals: twice, host bits, length, unknown, not root"

rule del deny 10.99.7.0/24 || fail "del"
more=$(from 10.99.7.1 "$TB_B4" 7001 1000)
equal "10.99.0.0/16 after del of the longer one" "$(denied 10.99.0.0/16)" $((wide + more))
rule flush deny || fail "flush"
equal "rules after flush" "$(rule show -j | jq '.deny | length')" 0
open=$(from 10.99.7.1 "$TB_B4" 7000 1000)
eventually serves 7000 $((kept + open)) || fail "flushed, but still dropped"
equal "drop_deny after flush" "$(stat .xdp.drop_deny)" $((wide + narrow + six + more))
echo "ok    del and flush"

generate gen --dst "$TB_B4" --dport 7000 --flows 16 --rate 30000 --time 60
generate bad --src 10.99.1.1 --dmac $TB_BMAC --dst "$TB_B4" --dport 7001 --rate 10000 --time 60
eventually serves 7000 $((kept + open + 1000)) || fail "no traffic"
for ((i = 0; i < CHANGES; i++)); do
	rule add deny 10.99.1.0/24 || fail "add $i"
	rule add deny "fd99:$i::/48" || fail "add $i"
	if ((i % 10 == 9)); then
		rule flush deny || fail "flush $i"
	else
		rule del deny 10.99.1.0/24 || fail "del $i"
	fi
done
tb_stop gen
tb_stop bad
sleep 0.3
tb_stop recv
tb_stop recv6
tb_stop kernel
equal "received" "$(out recv .received)" $((kept + open + $(out gen .sent)))
equal "lost" "$(out recv .lost)" 0
equal "reordered" "$(out recv .reordered)" 0
through=$(out kernel .received) all=$(out bad .sent)
now=$(($(stat .xdp.drop_deny) - wide - narrow - six - more))
equal "neither dropped by rule nor received" $((all - through - now)) 0
[ $now -gt 0 ] || fail "no rule has dropped anything"
conserved
nothing_kept
echo "ok    $CHANGES rules came and went: of $all denied now and then $now dropped, $through received;" \
	"the others: $(out recv .received) of $(out recv .received)"
