#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                   netns b
#   gro_diff: one sendmmsg --> veth a ====== veth b: NAPI thread, GRO --> packet socket: gro_diff
#         \                                                                          || the same?
#          +--> the engine's GRO ----------------------------------------------------+
#
# The kernel as the oracle: random streams of frames, each stream one poll, or up to three. STREAMS
# and SEED may be set; a stream that differs is printed with its own seed.
. "$(dirname "$0")/lib.sh"

STREAMS=${STREAMS:-50000}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
CPU=$(($(nproc) - 1))
MTU=3700	# the streams' longest frames

# The thread that polls veth b. Its name begins with the device's.
napi_thread()
{
	local comm
	for comm in /proc/[0-9]*/comm; do
		[[ $(cat "$comm" 2>/dev/null) != napi/"$TB_BDEV"-* ]] || basename "${comm%/comm}"
	done
}

fresh 1
# Nobody else talks on the pair, and nothing is segmented or put together by the sender.
for ns in "$TB_A" "$TB_B"; do
	ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
done
ip -n "$TB_A" link set "$TB_ADEV" mtu $MTU
ip -n "$TB_B" link set "$TB_BDEV" mtu $MTU
ip netns exec "$TB_A" ethtool -K "$TB_ADEV" tso off gso off
ip netns exec "$TB_B" sh -c "echo 1 > /sys/class/net/$TB_BDEV/threaded" ||
	skip "this kernel has no threaded NAPI"
thread=$(napi_thread)
[ -n "$thread" ] || skip "the NAPI thread of $TB_BDEV is not to be found"
taskset -pc $CPU "$thread" >/dev/null && chrt -f -p 1 "$thread" ||
	skip "the NAPI thread cannot be pinned"

echo "seed $SEED, kernel $(uname -r)"
taskset -c $CPU "$TOOLS/gro_diff" "$TB_A" "$TB_ADEV" "$TB_B" "$TB_BDEV" "$SEED" "$STREAMS" ||
	fail "GRO differs from the kernel's"
