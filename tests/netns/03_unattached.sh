#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                       netns b
#   sluice gen (full rate, port 7000) ---+        veth b: XDP --> worker --> sluice recv
#   udp_send (port 7001), tcp_xfer,      +=====>            +--> kernel: udp_recv -k, tcp_xfer,
#   ping, ARP                                                      ICMP, ARP
#
# What no client attached reaches the kernel unharmed while a client receives at full rate.
. "$(dirname "$0")/lib.sh"
need_cpus 2

BYTES=50000000 COUNT=20000

tb_up 2
daemon --workers 1
tb_start recv "$TB_B" "$SLUICE" recv -p 7000 -t 60 -j
receive other -k -p 7001 -n $COUNT -t 20
tb_start tcp "$TB_B" "$TOOLS/tcp_xfer" -l "$TB_B4" 7000 $BYTES
tb_expect tcp ready || fail "no TCP server"
eventually serves 7000 || fail "not attached"
generate gen --dst "$TB_B4" --dport 7000 --flows 16 --size 64 --cpus 0 --time 60
eventually serves 7000 1000 || fail "no traffic"

equal "UDP to another port: sent" \
	"$(send -d "$TB_B4" -p 7001 -f 8 -n $COUNT -s 24-1400 -r 5000)" $COUNT
received other $COUNT
equal "UDP to another port: reordered" "$(out other '.ports[0].reordered')" 0
echo "ok    UDP to another port: $COUNT of $COUNT"

tb_exec "$TB_A" "$TOOLS/tcp_xfer" -c "$TB_B4" 7000 $BYTES || fail "TCP: sender"
tb_wait tcp || fail "TCP: $(cat "$TB_DIR/tcp.err")"
echo "ok    TCP to the same port number: $BYTES bytes"

for addr in "$TB_B4" "$TB_B6"; do
	tb_exec "$TB_A" ping -q -c 200 -i 0.005 -W 2 "$addr" >"$TB_DIR/ping"
	grep -q '200 received' "$TB_DIR/ping" || fail "ping $addr: $(cat "$TB_DIR/ping")"
	echo "ok    ICMP echo to $addr: 200 of 200"
done

ip -n "$TB_A" neigh del "$TB_B4" dev "$TB_ADEV"
ip -n "$TB_A" neigh del "$TB_B6" dev "$TB_ADEV"
tb_exec "$TB_A" ping -q -c 1 -W 2 "$TB_B4" >/dev/null || fail "ARP is not answered"
tb_exec "$TB_A" ping -q -c 1 -W 2 "$TB_B6" >/dev/null || fail "neighbour discovery is not answered"
ip -n "$TB_A" neigh show "$TB_B4" dev "$TB_ADEV" | grep -q "lladdr $TB_BMAC" ||
	fail "ARP has no result"
echo "ok    ARP and neighbour discovery"

before=$(sock 7000 delivered)
sleep 0.5
serves 7000 $((before + 10000)) || fail "the client did not receive all the while"
tb_stop gen
tb_stop recv
conserved
echo "ok    the client received $(out recv .received) meanwhile"
