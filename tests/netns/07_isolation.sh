#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   udp_send --> veth a ==== 2 queues ==> veth b: XDP --> 2 workers --> udp_recv 7000, 7002
#                                                              +--> udp_recv 7001, 7003
#
# Each datagram carries the port it is for: nobody sees anybody else's, nobody misses one.
# Then lane_pages tries to reach memory that is not its own.
. "$(dirname "$0")/lib.sh"
need_cpus 2

COUNT=100000

tb_up 2
daemon --workers 0,1 --ring 16384
receive one -p 7000,7002 -n $((COUNT / 2)) -t 20 -R
receive two -p 7001,7003 -n $((COUNT / 2)) -t 20 -R -P
sent=$(send -d "$TB_B4" -p 7000,7001,7002,7003 -f 32 -n $COUNT -s 24-1400 -b 10 -r 50000)
equal "sent" "$sent" $COUNT
received_by_lane one $((COUNT / 2))
received_by_lane two $((COUNT / 2))
conserved
echo "ok    four sockets of two clients: each got its own $((COUNT / 4))"

mkfifo "$TB_DIR/go"
tb_start pages "$TB_B" sh -c 'exec "$@" <"$0"' "$TB_DIR/go" \
	"$TOOLS/lane_pages" "$TB_BDEV" "$TB_B4" 7010 7011
exec 9>"$TB_DIR/go"
tb_expect pages attached || fail "not attached"
send -d "$TB_B4" -p 7011 -f 8 -n 1000 -s 64-1000 -r 20000 >"$TB_DIR/sent"
echo >&9
exec 9>&-
rc=0
tb_wait pages || rc=$?
cat "$TB_DIR/pages.out" "$TB_DIR/pages.err"
equal "lane_pages: exit code" $rc 0
eventually detached 7011 || fail "the client is still there"
conserved
nothing_kept
