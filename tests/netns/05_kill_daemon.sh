#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   udp_send --> veth a ==== 2 queues ====> veth b: XDP --> sluiced (killed 100 times) --> udp_recv
#                                                   +-----> kernel's socket -------------------^
#
# After SIGKILL of the daemon the client receives through the kernel within a second, and
# the next daemon starts on the same device; 100 times. SIGTERM, INT and SEGV as well.
. "$(dirname "$0")/lib.sh"
need_cpus 2

ROUNDS=${ROUNDS:-100}

# Datagrams that the kernel has put into sockets' queues
by_kernel()
{
	tb_exec "$TB_B" cat /proc/net/snmp | awk '/^Udp:/ && $2 ~ /^[0-9]/ { print $2 }'
}

grows()
{
	[ "$(by_kernel)" -gt "$1" ]
}

# ROUND SIGNAL
round()
{
	local before killed gone took
	daemon --workers 0,1
	receive recv -p 7000 -t 30 -R
	eventually serves 7000 1 || fail "round $1: nothing through the lane"
	before=$(by_kernel)
	killed=$(date +%s%N)
	tb_stop sluiced "$2" 2>/dev/null
	gone=$(($(date +%s%N) - killed))
	eventually grows "$before" || fail "round $1: no traffic after SIG$2"
	took=$((($(date +%s%N) - killed) / 1000000))
	[ $took -lt 1000 ] || fail "round $1: traffic was back $took ms after SIG$2, of which" \
		"the daemon took $((gone / 1000000)) to end"
	if ip -n "$TB_B" link show dev "$TB_BDEV" | grep -q xdp; then
		fail "round $1: XDP is still attached"
	fi
	[ $took -le "$slowest" ] || slowest=$took
	tb_stop recv 2>/dev/null
}

slowest=0
tb_up 2
sending send -d "$TB_B4" -p 7000 -f 16 -r 10000 -n 4000000 -s 24-1400
for ((i = 1; i <= ROUNDS; i++)); do
	case $((i % 10)) in
	7) round $i TERM ;;
	8) round $i INT ;;
	9) round $i SEGV ;;
	*) round $i KILL ;;
	esac
done

# And the client of a daemon that died keeps receiving, without a gap in what it does.
daemon --workers 0,1
receive recv -p 7000 -t 2 -R
eventually serves 7000 1 || fail "nothing through the lane"
tb_stop sluiced KILL 2>/dev/null
received recv
[ "$(out recv '.ports[0].kernel')" -gt 1000 ] || fail "the client did not go on: $(out recv .)"
[ "$(out recv '.ports[0].lane')" -gt 0 ] || fail "the client did not use the lane: $(out recv .)"
tb_stop send
echo "ok    $ROUNDS rounds; traffic was back after $slowest ms at most"
