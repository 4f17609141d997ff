#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns b: veth b, and a sluiced that cannot start
#
# One line that says what is wrong, exit code 1 (the system) or 2 (the command line),
# nothing left behind: no XDP program, no control socket, no pin, no process.
. "$(dirname "$0")/lib.sh"

sockets()
{
	find /run/sluice -name "*-$TB_BDEV.sock" 2>/dev/null | wc -l
}

nothing_left()
{
	ip -n "$TB_B" link show dev "$TB_BDEV" | grep -q xdp && fail "$1: XDP is attached"
	equal "$1: control sockets" "$(sockets)" "${2:-0}"
	[ -e "$TB_DIR/bpf/sluice/$TB_BDEV" ] && fail "$1: pins are left"
	return 0
}

tb_up 1
D=$TB_BUILD/sluiced

refuses "no device" 2 '-i' "$D"
refuses "unknown device" 1 nosuch "$D" -i nosuchdev
refuses "unknown option" 2 bogus "$D" -i "$TB_BDEV" --bogus
refuses "queue that is not there" 1 'queue' "$D" -i "$TB_BDEV" -q 7
refuses "queue that is no number" 2 'x' "$D" -i "$TB_BDEV" -q x
refuses "CPU that is not there" 2 'cpu' "$D" -i "$TB_BDEV" --workers 1000
refuses "umem that is no number" 2 'umem|many' "$D" -i "$TB_BDEV" --umem many
refuses "zero-copy where there is none" 1 'zero' "$D" -i "$TB_BDEV" -z
nothing_left "bad arguments"

refuses "no capability" 1 'capab|permission|privilege|root' \
	setpriv --inh-caps -all --bounding-set -all --no-new-privs "$D" -i "$TB_BDEV"
refuses "an ordinary user" 1 'capab|permission|privilege|root' \
	setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$D" -i "$TB_BDEV"
nothing_left "no capability"

tb_exec "$TB_B" sh -c 'bpftool prog load "$0" /sys/fs/bpf/other type xdp &&
	bpftool net attach xdp pinned /sys/fs/bpf/other dev "$1"' \
	"$TB_BUILD/bpf/steer.bpf.o" "$TB_BDEV" 2>"$TB_DIR/said" || fail "$(cat "$TB_DIR/said")"
refuses "another XDP program" 1 'XDP' "$D" -i "$TB_BDEV"
tb_exec "$TB_B" sh -c 'bpftool net detach xdp dev "$0"; rm /sys/fs/bpf/other' "$TB_BDEV"
nothing_left "another XDP program"

daemon --workers 0
refuses "busy device" 1 'another|busy|already' "$D" -i "$TB_BDEV"
stat .dev >/dev/null || fail "the first daemon was disturbed"
equal "the first daemon serves" "$(stat .dev)" "$TB_BDEV"
tb_stop sluiced || fail "sluiced ends with $?"
nothing_left "after SIGTERM"

# Pins are a convenience: without a bpffs the daemon runs.
ip netns exec "$TB_B" "$D" -i "$TB_BDEV" --workers 0 \
	>"$TB_DIR/nobpffs.out" 2>"$TB_DIR/nobpffs.err" </dev/null &
TB_PID[nobpffs]=$!
tb_expect nobpffs ready || fail "does not start without a bpffs"
equal "it serves without a bpffs" "$(stat .dev)" "$TB_BDEV"
tb_stop nobpffs || fail "sluiced ends with $?"
nothing_left "without a bpffs"
echo "ok    no bpffs: runs"
