#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   capture_make --> file --> sluice replay (as nobody, no daemon) --> books, file of a stage
#
# A capture goes through the engine without privilege, always with the same result, and
# what a damaged one still holds is counted. Of 8 frames of the mixture: 4 + 1 are for this
# host, 1 is no IP, 1 has a wrong checksum, 1 is for another host (tests/unit/captures.h).
. "$(dirname "$0")/lib.sh"

N=8000
MAKE=$TOOLS/capture_make
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-replay.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
chmod 777 "$dir"
# Where nobody may not even read the checkout
cp "$SLUICE" "$dir/sluice"

# ARGUMENTS...: sluice replay, without any privilege; output in $dir/out and $dir/err
replay()
{
	setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --no-new-privs \
		"$dir/sluice" replay "$@" >"$dir/out" 2>"$dir/err"
}

# EXPRESSION: from the JSON of the last replay
book()
{
	jq -r "$1" "$dir/out" || fail "no JSON: $(cat "$dir/out" "$dir/err")"
}

check_mix()
{
	equal "$1: packets" "$(book .packets)" $N
	equal "$1: delivered" "$(book .delivered)" $((N * 6 / 8))
	equal "$1: eth_proto" "$(book .drops.eth_proto)" $((N / 8))
	equal "$1: udp_csum" "$(book .drops.udp_csum)" $((N / 8))
	equal "$1: port 5003" "$(book '.ports[] | select(.port == 5003) | .packets')" $((N / 4))
	equal "$1: ports" "$(book '[.ports[].port] | join(" ")')" "5000 5001 5002 5003 6000"
	equal "$1: the books close" "$(book .closed)" true
}

for format in micro micro-be nano nano-be pcapng pcapng-be; do
	"$MAKE" $format $N >"$dir/$format" || fail "$format: cannot be made"
	replay -j "$dir/$format" || fail "$format: $(cat "$dir/err")"
	check_mix $format
done
echo "ok    pcap in us and ns, pcapng, both byte orders: $N packets each, every one accounted for"

replay -j - <"$dir/pcapng" || fail "from a pipe: $(cat "$dir/err")"
check_mix "standard input"
replay "$dir/nano" || fail "$(cat "$dir/err")"
grep -q "^books: received $N = delivered $((N * 6 / 8)) + dropped $((N / 4)): they close" \
	"$dir/out" || fail "the table: $(cat "$dir/out")"
echo "ok    from standard input, and as a table"

replay -j "$dir/nano" --local 192.0.2.2 --local 2001:db8::2 --udp 5000 --udp 5002-5003,6000
equal "local and ports: exit code" $? 0
equal "not_local" "$(book .drops.not_local)" $((N / 8))
equal "no_socket" "$(book .drops.no_socket)" $((N / 8))
equal "delivered" "$(book .delivered)" $((N * 4 / 8))
replay -j "$dir/nano" --udp 0-65535 --udp 5000
equal "all ports, in words: exit code" $? 0
check_mix "all ports, in words"
echo "ok    addresses and ports as told"

for stage in rx gro l4; do
	for poll in 1 64 1000; do
		for i in 1 2; do
			replay "$dir/nano" --poll $poll -w "$dir/$stage.$i" --stage $stage ||
				fail "$stage: $(cat "$dir/err")"
			cp "$dir/out" "$dir/books.$i"
		done
		cmp "$dir/$stage.1" "$dir/$stage.2" || fail "$stage, poll $poll: not the same again"
		cmp "$dir/books.1" "$dir/books.2" || fail "$stage, poll $poll: other books"
	done
done
cmp "$dir/rx.1" "$dir/nano" || fail "stage rx is not the capture"
replay -j "$dir/l4.1" || fail "stage l4 cannot be replayed: $(cat "$dir/err")"
equal "replay of stage l4: delivered" "$(book .delivered)" $((N * 6 / 8))
equal "replay of stage l4: dropped" "$(book .dropped)" 0
echo "ok    each stage is written, the same each time; rx is the capture, l4 is delivered again"

"$MAKE" nano $N 100 >"$dir/short" || fail "short: cannot be made"
replay -j "$dir/short" || fail "snap length: $(cat "$dir/err")"
[ "$(book .drops.snaplen)" -gt $((N / 2)) ] || fail "snap length: $(book .drops)"
equal "snap length: the books close" "$(book .closed)" true
echo "ok    packets cut by the snap length are counted as such"

# Peak memory, in KiB, of the replay that waits at the pipe; what is under way there is read soon.
peak()
{
	sleep 0.3
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"
}

mkfifo "$dir/pipe"
"$dir/sluice" replay -j - <"$dir/pipe" >"$dir/out" 2>"$dir/err" &
pid=$!
exec 3>"$dir/pipe"
cat "$dir/nano" >&3
tail -c +25 "$dir/nano" >"$dir/packets"
# TIMES: the packets again
again()
{
	local i
	for ((i = 0; i < $1; i++)); do
		cat "$dir/packets"
	done >&3
}

# Until the ring of the lane has been around once
again 24
first=$(peak $pid)
again 100
last=$(peak $pid)
exec 3>&-
wait $pid || fail "1,000,000 packets: $(cat "$dir/err")"
equal "1,000,000 packets: delivered" "$(book .delivered)" 750000
[ $((last - first)) -lt 512 ] || fail "memory grows from $first to $last KiB"
echo "ok    $first KiB of memory after 200000 packets, $last KiB after $(book .packets)"

# FILE PACKETS: damaged behind so many packets
check_damaged()
{
	replay -j "$1"
	equal "$1: exit code" $? 1
	equal "$1: counted" "$(book .packets)" "$2"
	equal "$1: the books close" "$(book .closed)" true
	grep -q ": packet $(($2 + 1)): .*; the $2 packets before it are counted" "$dir/err" ||
		fail "$1: $(cat "$dir/err")"
}

size=$(find "$dir/nano" -printf %s)
head -c $((size - 1)) "$dir/nano" >"$dir/cut_in_packet"
check_damaged "$dir/cut_in_packet" $((N - 1))
head -c $((24 + 15)) "$dir/nano" >"$dir/cut_in_header"
check_damaged "$dir/cut_in_header" 0
{ cat "$dir/nano"; printf '\0\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377'; } >"$dir/bad_length"
check_damaged "$dir/bad_length" $N
{ cat "$dir/nano"; printf '\0\0\0\0\0\0\0\0\004\0\0\0\003\0\0\0abcd'; } >"$dir/longer_than_it_was"
check_damaged "$dir/longer_than_it_was" $N
size=$(find "$dir/pcapng" -printf %s)
head -c $((size - 3)) "$dir/pcapng" >"$dir/cut_pcapng"
check_damaged "$dir/cut_pcapng" $((N - 1))
echo "ok    damaged files: the packet is named, what was before it is counted"

# WHAT ARGUMENTS...: refused with one line on standard error and nothing else
refused()
{
	local rc
	replay "${@:3}"
	rc=$?
	equal "$*: exit code" $rc "$2"
	equal "$*: lines of error" "$(wc -l <"$dir/err")" 1
	grep -q "$1" "$dir/err" || fail "$*: $(cat "$dir/err")"
	[ ! -s "$dir/out" ] || fail "$*: prints $(cat "$dir/out")"
}

head -c 20 "$dir/nano" >"$dir/no_header"
refused truncated 1 "$dir/no_header"
echo 'this is no capture file at all' >"$dir/text"
refused "unknown file format" 1 "$dir/text"
refused "No such file" 1 "$dir/nothing"
refused "is the capture itself" 1 "$dir/nano" -w "$dir/nano" --stage rx
cmp "$dir/nano" "$dir/rx.1" || fail "the capture was written to"
refused "No such file" 1 "$dir/nano" -w "$dir/none/x" --stage rx
refused "one FILE" 2
refused "one FILE" 2 "$dir/nano" "$dir/nano"
refused "belong together" 2 "$dir/nano" -w "$dir/x"
refused "rx, gro or l4" 2 "$dir/nano" -w "$dir/x" --stage l3
refused "out of range" 2 "$dir/nano" --poll 0
refused "out of range" 2 "$dir/nano" --poll 1025
refused "ADDR" 2 "$dir/nano" --local 192.0.2
refused "PORT" 2 "$dir/nano" --udp http
refused "PORT" 2 "$dir/nano" --udp 53,
refused "PORT" 2 "$dir/nano" --udp 54-53
refused "out of range" 2 "$dir/nano" --udp 65535-65536
refused "books are on" 2 "$dir/nano" -w - --stage rx
replay "$dir/nano" -w /dev/full --stage gro
equal "a full disk: exit code" $? 1
grep -q "/dev/full: could not be written to its end" "$dir/err" || fail "$(cat "$dir/err")"
echo "ok    what cannot be done is refused, in one line"
