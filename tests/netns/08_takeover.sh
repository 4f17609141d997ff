#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                    netns b
#   10.77.0.1 --> veth a ==== 1 queue ====> veth b: XDP --> sluiced --> takeover, refusals
#   10.77.0.3                               10.77.0.2, 10.77.0.4
#
# A client that attaches and then changes its socket gets nothing more than the kernel
# would give it; descriptors that must not be attached are not. Where the kernel does not let
# the guard of socket changes watch everything, the daemon may need 100 ms to see a change:
# 12_guard.sh has what must happen at once.
. "$(dirname "$0")/lib.sh"

tb_up 1
more_addresses
daemon --workers 0

rc=0
# shellcheck disable=SC2046
tb_exec "$TB_B" "$TOOLS/takeover" "$TB_BDEV" "/run/netns/$TB_A" $(settle_ms) || rc=1
conserved
tb_exec "$TB_B" "$TOOLS/refusals" "$TB_BDEV" "/run/netns/$TB_A" || rc=1
[ $rc = 0 ] || fail "see above"
conserved
nothing_kept
tb_stop sluiced || fail "sluiced ends with $?"
