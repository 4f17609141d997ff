# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
# Sourced by the tests in this directory: the testbed, and what they assert with.
# Exit codes: 0 passed, 1 failed, 77 skipped (the last line says why).
set -u
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/testbed"
TOOLS=$TB_BUILD/tests/netns
SLUICE=$TB_BUILD/sluice

fail()
{
	local name
	echo "FAIL: $*" >&2
	for name in "${!TB_PID[@]}"; do
		sed "s/^/  $name: /" "$TB_DIR/$name.err" | tail -n 5 >&2
	done
	if [ -n "${TB_PID[sluiced]:-}" ]; then
		tb_exec "$TB_B" "$SLUICE" stat -i "$TB_BDEV" >&2
		tb_exec "$TB_B" "$SLUICE" sock -i "$TB_BDEV" >&2
	fi
	exit 1
}

skip()
{
	echo "SKIPPED: $*"
	exit 77
}

need_cpus()
{
	[ "$(nproc)" -ge "$1" ] || skip "needs $1 CPUs, this machine has $(nproc)"
}

# WHAT GOT WANTED
equal()
{
	[ "$2" = "$3" ] || fail "$1: $2, wanted $3"
}

# A new testbed of QUEUES queues instead of the old one.
fresh()
{
	tb_down
	tb_up "$@"
}

# ARGUMENTS...: the daemon on the receiving device
daemon()
{
	tb_sluiced "$@" || fail "sluiced does not start"
	descriptors=$(fds)
}

fds()
{
	find "/proc/${TB_PID[sluiced]}/fd" -mindepth 1 2>/dev/null | wc -l
}

# NAME ARGUMENTS...: udp_recv in b, ready when this returns
receive()
{
	tb_start "$1" "$TB_B" "$TOOLS/udp_recv" "${@:2}"
	tb_expect "$1" ready || fail "$1 is not ready"
}

# ARGUMENTS...: udp_send in a; how many it sent
send()
{
	tb_exec "$TB_A" "$TOOLS/udp_send" "$@" | jq .sent
}

# NAME ARGUMENTS...: udp_send in a, in the background
sending()
{
	tb_start "$1" "$TB_A" "$TOOLS/udp_send" "${@:2}"
}

# NAME ARGUMENTS...: sluice gen in a, in the background
generate()
{
	tb_start "$1" "$TB_A" "$SLUICE" gen -i "$TB_ADEV" "${@:2}" -j
}

# NAME EXPRESSION: from what a command started by that name printed
out()
{
	jq -r "$2" "$TB_DIR/$1.out" ||
		fail "$1 printed no JSON: $(cat "$TB_DIR/$1.out" "$TB_DIR/$1.err")"
}

stat_of()
{
	tb_exec "$TB_B" "$SLUICE" stat -i "$TB_BDEV" -j
}

# EXPRESSION: from sluice stat
stat()
{
	stat_of | jq -r "$1"
}

# PORT FIELD: of the socket attached there; empty when there is none
sock()
{
	tb_exec "$TB_B" "$SLUICE" sock -i "$TB_BDEV" -j |
		jq -r ".sockets[] | select(.port == $1) | .$2"
}

# PORT [COUNT]: attached, and has been given more than COUNT datagrams
serves()
{
	local n
	n=$(sock "$1" delivered) && [ -n "$n" ] && [ "$n" -ge "${2:-0}" ]
}

detached()
{
	[ -z "$(sock "$1" port)" ]
}

# COMMAND...: until it succeeds, for some seconds at most
eventually()
{
	local i
	for ((i = 0; i < 250; i++)); do
		"$@" && return 0
		sleep 0.02
	done
	return 1
}

frames_are_back()
{
	stat_of | jq -e '[.queues[] | .free + .fill + .rx + .held == .frames] | all' >/dev/null
}

books_are_closed()
{
	stat_of | jq -e '.books | .closed and .redirected == .received + .ring_lost and
		.received == .delivered + .dropped' >/dev/null
}

# With no traffic on the way: every frame is accounted for, and every packet has one fate.
conserved()
{
	eventually frames_are_back || fail "frames are missing: $(stat .queues)"
	eventually books_are_closed || fail "the books do not close: $(stat .books)"
}

fds_are_back()
{
	[ "$(fds)" = "$descriptors" ]
}

# With no client left: the daemon has as many descriptors as at the start.
nothing_kept()
{
	eventually fds_are_back ||
		fail "the daemon has $(fds) descriptors, at the start $descriptors"
}

# NAME [COUNT]: udp_recv ended; every byte was right and of the right port, and COUNT datagrams came
received()
{
	local rc=0
	tb_wait "$1" || rc=$?
	equal "$1: exit code" $rc 0
	equal "$1: wrong datagrams" "$(out "$1" '[.ports[] | .bad + .foreign] | add')" 0
	[ $# = 1 ] || equal "$1: received" "$(out "$1" '[.ports[].received] | add')" "$2"
}

# NAME COUNT: as received, and all through the lane
received_by_lane()
{
	received "$@"
	equal "$1: through the lane" "$(out "$1" '[.ports[].lane] | add')" "$2"
}

# WHAT CODE PATTERN COMMAND...: fails in b with that exit code and one line like that
refuses()
{
	local what=$1 code=$2 pattern=$3 rc=0
	shift 3
	tb_exec "$TB_B" timeout 10 "$@" >"$TB_DIR/said" 2>&1 || rc=$?
	equal "$what: exit code ($(cat "$TB_DIR/said"))" $rc "$code"
	equal "$what: lines ($(cat "$TB_DIR/said"))" "$(wc -l <"$TB_DIR/said")" 1
	grep -qiE -- "$pattern" "$TB_DIR/said" || fail "$what: says $(cat "$TB_DIR/said")"
	echo "ok    $what: $(cat "$TB_DIR/said")"
}

# A second address at each end: 10.77.0.3 in a, 10.77.0.4 in b
more_addresses()
{
	ip -n "$TB_A" addr add 10.77.0.3/24 dev "$TB_ADEV"
	ip -n "$TB_B" addr add 10.77.0.4/24 dev "$TB_BDEV"
	ip -n "$TB_A" neigh replace 10.77.0.4 lladdr "$TB_BMAC" dev "$TB_ADEV" nud permanent
	ip -n "$TB_B" neigh replace 10.77.0.3 lladdr "$TB_AMAC" dev "$TB_BDEV" nud permanent
}

# How long the daemon may need to see that a socket has changed, and that it was
# disconnected: 100 ms where the kernel does not let the guard watch it. In milliseconds.
settle_ms()
{
	if grep -q 'disconnect only within' "$TB_DIR/sluiced.err"; then
		echo 0 300
	elif grep -q 'within 100 ms only' "$TB_DIR/sluiced.err"; then
		echo 300 300
	else
		echo 0 0
	fi
}
