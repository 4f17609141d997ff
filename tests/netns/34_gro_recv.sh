#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                 netns b
#   udp_send: one flow, in bursts --> veth a ====== veth b: XDP --> worker: GRO --> udp_recv
#
# A socket with UDP_GRO gets several datagrams in one, by recvmmsg and by peek; one without
# gets each alone. Every byte right, in order, none lost, and the books close.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 COUNT=60000

# ADDRESS SIZES merged|single OPTIONS...
cell()
{
	what="$2 bytes to $1 ${*:3}"
	receive recv -a "$1" -p $PORT -n $COUNT -t 10 -c 1 -R "${@:4}"
	sent=$(send -d "$1" -p $PORT -f 1 -n $COUNT -s "$2" -r 200000 -b 64 -w)
	equal "$what: sent" "$sent" $COUNT
	received recv $COUNT
	equal "$what: through the kernel" "$(out recv '.ports[0].kernel')" 0
	equal "$what: reordered" "$(out recv '.ports[0].reordered')" 0
	merged=$(out recv '.ports[0].merged')
	case $3 in
	merged) [ "$merged" -gt 100 ] || fail "$what: only $merged merged" ;;
	single) equal "$what: merged" "$merged" 0 ;;
	esac
	conserved
	echo "ok    $what: $merged merged"
}

fresh 1
daemon --workers 1 --ring 16384
for csum in on off; do
	tb_exec "$TB_A" ethtool -K "$TB_ADEV" tx $csum >/dev/null
	for addr in "$TB_B4" "$TB_B6"; do
		cell "$addr" 100 merged -G
		cell "$addr" 1200 merged -G -P
		cell "$addr" 100 single
	done
	cell "$TB_B4" 24-1200 merged -G
done
tb_stop sluiced

# RATE ARGUMENTS...: 16 flows to a client that goes to the other CPU every 5 ms. What GRO has merged
# belongs to one flow, so a flow that moves stays in order.
hop()
{
	fresh 1
	daemon --workers 0,1 "${@:2}"
	tb_start recv "$TB_B" "$SLUICE" recv -p $PORT --gro --lane 16777216 --cpu 1 --hop 5 -t 20 -j
	eventually serves $PORT || fail "not attached"
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport $PORT --flows 16 \
		--size 64 --cpus 0 --rate "$1" --time 4 -j >"$TB_DIR/gen.out" || fail "no traffic"
	sleep 0.3
	tb_stop recv
	what="$1 a second ${*:2}"
	equal "$what: reordered" "$(out recv .reordered)" 0
	[ "$(out recv .hops)" -ge 200 ] || fail "$what: only $(out recv .hops) moves"
	[ "$(out recv .merged)" -gt 1000 ] || fail "$what: only $(out recv .merged) merged"
	eventually books_are_closed || fail "$what: the books do not close: $(stat .books)"
	echo "ok    $what: received $(out recv .received) of $(out gen .sent)," \
		"$(out recv .merged) times several as one, $(out recv .hops) moves"
}

hop 300000
hop 300000 --ring 64
