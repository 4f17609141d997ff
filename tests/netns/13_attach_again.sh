#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns b: veth b, sluiced, and a client that attaches, detaches and binds its port again
. "$(dirname "$0")/lib.sh"

tb_up 1
daemon --workers 0
tb_exec "$TB_B" "$TOOLS/attach_again" "$TB_BDEV" 7000 200 || fail "see above"
conserved
nothing_kept
tb_stop sluiced || fail "sluiced ends with $?"
