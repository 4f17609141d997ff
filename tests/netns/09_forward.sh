#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a              netns b (forwards)                        netns c
#   udp_send --> veth a ==> veth b: XDP --> sluiced --> udp_recv   10.78.0.2
#                                 +-----> routed --> veth d =====> veth c: udp_recv -k
#
# A socket for any address on port 7000 is attached in b; datagrams to port 7000 of c,
# which b only forwards, are left alone.
. "$(dirname "$0")/lib.sh"

COUNT=5000
tb_up 1
C=sluice-$$-c
TB_MORE=$C
ip netns add "$C" || fail "cannot add a third namespace"
ip link add "sl$$d" netns "$TB_B" type veth peer name "sl$$c" netns "$C"
ip -n "$TB_B" addr add 10.78.0.1/24 dev "sl$$d"
ip -n "$C" addr add 10.78.0.2/24 dev "sl$$c"
ip -n "$TB_B" link set "sl$$d" up
ip -n "$C" link set "sl$$c" up
ip -n "$C" route add default via 10.78.0.1
ip -n "$TB_A" route add 10.78.0.0/24 via $TB_B4
ip netns exec "$TB_B" sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
tb_exec "$TB_A" ping -q -c 1 -W 2 10.78.0.2 >/dev/null || fail "b does not forward"

daemon --workers 0
receive here -p 7000 -t 60 -R
tb_start there "$C" "$TOOLS/udp_recv" -k -p 7000 -t 60
tb_expect there ready || fail "no receiver in c"
sending send -d 10.78.0.2 -p 7000 -S 21000 -n $COUNT -r 10000 -f 4
equal "sent to b" "$(send -d "$TB_B4" -p 7000 -n $COUNT -r 10000 -f 4)" $COUNT
tb_wait send || fail "sender to c"
sleep 0.3
tb_signal here TERM
tb_signal there TERM
received_by_lane here $COUNT
received there $COUNT
conserved
echo "ok    $COUNT for b through the lane, $COUNT for c forwarded"
