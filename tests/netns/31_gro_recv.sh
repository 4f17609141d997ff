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
