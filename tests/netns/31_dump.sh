#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                   netns b
#   udp_send --> veth a ==== 2 queues ==> veth b: XDP --> sluiced --> udp_recv 7000, 7001
#                  |                                         +--> sluice dump: rx, gro, l4, filters
#                  +--> tcpdump: what was sent
#
# A tap sees exactly what passed: byte for byte what tcpdump sees at the sender, in order within
# each flow. Filters choose, -c ends, only root may.
. "$(dirname "$0")/lib.sh"
need_cpus 2
command -v tcpdump >/dev/null || skip "needs tcpdump"

COUNT=${COUNT:-5000}

# NAME ARGUMENTS...: sluice dump in b, looking when this returns
dump()
{
	tb_start "$1" "$TB_B" "$SLUICE" dump -i "$TB_BDEV" "${@:2}"
	tb_expect "$1" 'looking at' || fail "$1 does not look"
}

# FILE [FILTER]: its frames in hexadecimal, one per line
hex()
{
	tcpdump -r "$@" -t -n -xx 2>/dev/null |
		awk '/^\t0x/ { sub(/^\t0x[0-9a-f]*: */, ""); gsub(/ /, ""); line = line $0; next }
			{ if (line) print line; line = "" } END { if (line) print line }'
}

# WHAT: frames of the capture of that stage are those sent, flow by flow
same()
{
	local flow
	equal "$1: frames" "$(hex "$TB_DIR/$1.pcap" | wc -l)" "$(hex "$TB_DIR/sent.pcap" | wc -l)"
	for flow in 0 1 2 3; do
		hex "$TB_DIR/$1.pcap" "udp src port $((6000 + flow))" >"$TB_DIR/got"
		hex "$TB_DIR/sent.pcap" "udp src port $((6000 + flow))" >"$TB_DIR/wanted"
		[ -s "$TB_DIR/wanted" ] || fail "flow $flow was not captured"
		cmp "$TB_DIR/got" "$TB_DIR/wanted" || fail "$1: flow $flow differs"
	done
}

tb_up 2
daemon --workers 0,1 --ring 16384
receive recv -p 7000,7001 -t 60 -R
tb_start sent "$TB_A" tcpdump -i "$TB_ADEV" -n --immediate-mode -B 65536 -Q out \
	-w "$TB_DIR/sent.pcap" udp dst portrange 7000-7002
tb_expect sent 'listening on' || fail "tcpdump does not listen"
for stage in rx gro l4; do
	dump $stage --stage $stage -w "$TB_DIR/$stage.pcap"
done
dump filter -w "$TB_DIR/filter.pcap" udp port 7001 and src port 6001
dump count -c 100 -j src port 6000
dump cut -s 60 -w "$TB_DIR/cut.pcap"
equal "taps" "$(stat '.taps | length')" 6
sent=$(send -d "$TB_B4" -p 7000,7001 -S 6000 -f 4 -r 20000 -n "$COUNT" -s 24-1400)
equal "sent" "$sent" "$COUNT"
# To a port without a socket: the kernel's, and not seen.
send -d "$TB_B4" -p 7002 -n 100 -r 10000 >/dev/null
eventually serves 7000 $((COUNT / 2)) || fail "not all delivered"
sleep 0.1
tb_wait count || fail "-c: exit code $?"
for name in rx gro l4 filter cut sent; do
	tb_stop $name TERM || fail "$name: exit code $?"
done
tcpdump -r "$TB_DIR/sent.pcap" -w "$TB_DIR/sent2.pcap" udp dst portrange 7000-7001 2>/dev/null
mv "$TB_DIR/sent2.pcap" "$TB_DIR/sent.pcap"

for stage in rx gro l4; do
	grep -q "^$COUNT frames written, $COUNT seen, 0 lost" "$TB_DIR/$stage.err" ||
		fail "$stage: $(cat "$TB_DIR/$stage.err")"
	same $stage
done
equal "filter" "$(hex "$TB_DIR/filter.pcap")" "$(hex "$TB_DIR/sent.pcap" src port 6001)"
equal "cut" "$(hex "$TB_DIR/cut.pcap" src port 6002)" \
	"$(hex "$TB_DIR/sent.pcap" src port 6002 | cut -c 1-120)"
equal "-c" "$(jq -s '[.[] | select(.text)] | length' "$TB_DIR/count.out")" 100
is_flow='test("10.77.0.1.6000 > 10.77.0.2.7000: UDP, length")'
equal "-c: its frames" true \
	"$(jq -rs "[.[] | select(.text) | .text | $is_flow] | all" "$TB_DIR/count.out")"
equal "-c: report" "$(jq -s '.[-1].written' "$TB_DIR/count.out")" 100

tb_exec "$TB_B" setpriv --reuid 65534 --clear-groups "$SLUICE" dump -i "$TB_BDEV" -c 1 \
	2>"$TB_DIR/user.err" && fail "nobody may dump"
grep -q 'only root' "$TB_DIR/user.err" || fail "nobody is told: $(cat "$TB_DIR/user.err")"
rc=0
tb_exec "$TB_B" "$SLUICE" dump -i "$TB_BDEV" port nonsense 2>"$TB_DIR/user.err" || rc=$?
equal "a wrong filter" $rc 2
rc=0
tb_exec "$TB_B" "$SLUICE" dump -i "$TB_BDEV" --stage l5 2>"$TB_DIR/user.err" || rc=$?
equal "a wrong stage" $rc 2
equal "taps left" "$(stat '.taps | length')" 0

tb_signal recv TERM
received_by_lane recv "$COUNT"
conserved
nothing_kept
