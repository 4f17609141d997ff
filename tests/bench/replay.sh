#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
# tests/bench/replay.sh [PACKETS] [RUNS] - CPU time of `sluice replay` beside that of
# `tcpdump -r FILE -w /dev/null` on the same capture, in turn; medians and their ratio.
set -eu
export LC_ALL=C TIMEFORMAT='%U %S'
cd "$(dirname "$0")/../.."
packets=${1:-1000000} runs=${2:-5}
build=${SLUICE_BUILD:-build}

command -v tcpdump >/dev/null || { echo "SKIPPED: needs tcpdump"; exit 77; }
make -s "$build/sluice" "$build/tests/netns/capture_make"
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# COMMAND...: user and system time together, in ms
cpu_ms()
{
	{ time "$@" >/dev/null 2>&1; } 2>&1 | awk '{ printf "%d\n", ($1 + $2) * 1000 }'
}

median()
{
	sort -n "$1" | sed -n "$((runs / 2 + 1))p"
}

"$build/tests/netns/capture_make" nano "$packets" >"$dir/file"
for ((i = 0; i <= runs; i++)); do
	sluice=$(cpu_ms "$build/sluice" replay "$dir/file")
	tcpdump=$(cpu_ms tcpdump -r "$dir/file" -w /dev/null)
	# The first run of each finds cold caches.
	[ $i = 0 ] || echo "$sluice" >>"$dir/sluice"
	[ $i = 0 ] || echo "$tcpdump" >>"$dir/tcpdump"
done
a=$(median "$dir/sluice") b=$(median "$dir/tcpdump")
echo "packets $packets, file $(($(find "$dir/file" -printf %s) >> 20)) MiB, runs $runs"
echo "sluice replay $a ms, tcpdump -r -w /dev/null $b ms: ratio $(awk "BEGIN { printf \"%.2f\", $a / $b }")"
