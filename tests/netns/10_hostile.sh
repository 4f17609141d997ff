#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   udp_send --> veth a ==== 2 queues ==> veth b: XDP --> 2 workers --> hostile, 7301
#                                                              +--> udp_recv 7300, loses nothing
. "$(dirname "$0")/lib.sh"
need_cpus 2

tb_up 2
daemon --workers 0,1 --ring 16384
receive good -p 7300 -t 170 -R
sending send -d "$TB_B4" -p 7300,7301 -f 16 -n 4000000 -r 20000 -s 24-600
rc=0
tb_exec "$TB_B" "$TOOLS/hostile" "$TB_BDEV" "$TB_B4" 7301 "$TB_A4" || rc=1
tb_stop send || fail "sender"
sleep 0.2
tb_signal good TERM
received_by_lane good "$(out send '.ports["7300"]')"
[ $rc = 0 ] || fail "see above"
conserved
nothing_kept
tb_stop sluiced || fail "sluiced ends with $?"
