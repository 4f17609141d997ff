#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   udp_send --> veth a ==== 2 queues ==> veth b: XDP --> sluiced --> udp_recv 7000, killed
#                                                            +--> udp_recv 7001, loses nothing
#
# After SIGKILL of a client its frames, its rule and its port are back; the other client
# does not notice.
. "$(dirname "$0")/lib.sh"
need_cpus 2

ROUNDS=${ROUNDS:-100}

tb_up 2
daemon --workers 0,1 --ring 16384
receive keeper -p 7001 -t 170 -R
sending send -d "$TB_B4" -p 7000,7001 -f 16 -r 10000 -n 4000000 -s 24-1400

for ((i = 1; i <= ROUNDS; i++)); do
	receive victim -p 7000 -t 60 -R
	eventually serves 7000 1 || fail "round $i: nothing through the lane"
	tb_stop victim KILL 2>/dev/null
	eventually detached 7000 || fail "round $i: the daemon still has the socket"
done
tb_stop send || fail "sender"
sleep 0.2
tb_signal keeper TERM
received_by_lane keeper "$(out send '.ports["7001"]')"
conserved
nothing_kept
echo "ok    $ROUNDS rounds"
