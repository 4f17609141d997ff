#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   10.77.0.1 --> veth a ==== 1 queue ====> veth b: XDP --> sluiced --> takeover
#   10.77.0.3                               10.77.0.2, 10.77.0.4
#
# As 08_takeover.sh, but not a single datagram may go the wrong way after a change: the
# gate of a port shuts in the system call that changes its sockets.
. "$(dirname "$0")/lib.sh"

tb_up 1
more_addresses
daemon --workers 0
[ "$(settle_ms)" = "0 0" ] || skip "$(grep '100 ms' "$TB_DIR/sluiced.err")"
tb_exec "$TB_B" "$TOOLS/takeover" "$TB_BDEV" "/run/netns/$TB_A" 0 0 || fail "see above"
conserved
nothing_kept
