#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                   netns b
#   sluice gen --> veth a ==== 2 queues ==> veth b: XDP --> sluiced --> sluice recv, loses nothing
#                                                            +--> sluice dump, stopped
#                                                            +--> sluice dump, reading
#
# A tap whose reader does not read loses its own copies, counted to the last one; the receiver and
# another tap notice nothing. A reader that is killed leaves nothing behind, one that lies is
# disconnected, alone.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000
COUNT=${COUNT:-150000}

dump()
{
	tb_start "$1" "$TB_B" "$SLUICE" dump -i "$TB_BDEV" "${@:2}"
	tb_expect "$1" 'looking at' || fail "$1 does not look"
}

# NAME FIELD: of the tap of that command
tap()
{
	stat ".taps[] | select(.pid == ${TB_PID[$1]}) | .$2"
}

# COUNT: so many frames have passed the tap
passed()
{
	[ $(($(tap "$1" copied) + $(tap "$1" lost))) = "$2" ]
}

no_taps()
{
	[ "$(stat '.taps | length')" = 0 ]
}

rss()
{
	awk '/^RssShmem/ { print $2 }' "/proc/${TB_PID[sluiced]}/status"
}

tb_up 2
daemon --workers 0,1 --ring 16384
tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --lane 16777216 -t 100 --require -j
eventually serves $PORT || fail "not attached"
before=$(rss)
with_client=$(fds)
dump slow -w /dev/null --ring 262144
# Not one frame is written by it, so that all of its work is to look.
dump fast -w "$TB_DIR/fast.pcap" --ring 16777216 -s 96 src host 192.0.2.1
tb_signal slow STOP
generate gen --dst "$TB_B4" --dport $PORT --flows 16 --size 64 --rate 50000 --count "$COUNT"
tb_wait gen || fail "the generator fails"
sent=$(out gen .sent)
eventually serves $PORT "$sent" || fail "delivered $(sock $PORT delivered) of $sent"
passed slow "$sent" || fail "slow: $(stat .taps), wanted $sent in all"
passed fast "$sent" || fail "fast: $(stat .taps), wanted $sent in all"
equal "fast: lost" "$(tap fast lost)" 0
copied=$(tap slow copied) lost=$(tap slow lost)
[ "$lost" -gt $((sent / 2)) ] || fail "slow: only $lost lost, it was not slow"

tb_signal slow CONT
tb_stop slow || fail "slow: exit code $?"
grep -q "^$copied frames written, $copied seen, $lost lost" "$TB_DIR/slow.err" ||
	fail "slow says: $(cat "$TB_DIR/slow.err"), wanted $copied and $lost"
tb_stop fast || fail "fast: exit code $?"
grep -q "^0 frames written, $sent seen, 0 lost" "$TB_DIR/fast.err" ||
	fail "fast says: $(cat "$TB_DIR/fast.err")"
softnet=$(tb_exec "$TB_B" "$SLUICE" softnet -i "$TB_BDEV")
[ "$(grep -cE '^([0-9a-f]{8} ){14}[0-9a-f]{8}$' <<<"$softnet")" = 2 ] || fail "softnet: $softnet"
n=0
while read -r processed _; do
	n=$((n + 16#$processed))
done <<<"$softnet"
equal "softnet: processed" $n "$sent"
equal "drops" "$(stat '[.napi[].drops | add] | add')" 0

for ((i = 0; i < 20; i++)); do
	dump victim -w /dev/null
	[ $((i % 2)) = 0 ] || tb_signal victim STOP
	tb_stop victim KILL 2>/dev/null
	eventually no_taps || fail "round $i: $(stat .taps)"
done
generate gen --dst "$TB_B4" --dport $PORT --flows 16 --size 64 --rate 20000 --count 2000000
tb_exec "$TB_B" "$TOOLS/tap_hostile" "$TB_BDEV" || fail "see above"
tb_stop gen
sent=$((sent + $(out gen .sent)))
eventually serves $PORT "$sent" || fail "delivered $(sock $PORT delivered) of $sent"
eventually no_taps || fail "$(stat .taps)"
descriptors=$with_client
nothing_kept
equal "shared memory of the daemon in KiB" "$(rss)" "$before"

tb_stop recv
equal "received" "$(out recv .received)" "$sent"
equal "lost" "$(out recv .lost)" 0
equal "reordered" "$(out recv .reordered)" 0
conserved
