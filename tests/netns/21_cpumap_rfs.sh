#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                netns b
#   sluice gen, udp_send, --> veth a ===> veth b: XDP --> CPUMAP --> kernel's stack on CPU 0 or 1
#   tcp_xfer                                                 --> kernel_app, on one CPU
#
# Programs that know nothing of sluice. Without --kernel-rfs their packets are spread over the
# CPUs exactly as rps_map says; with it, >= 99 % are processed on the program's own CPU, whether
# its UDP socket is connected or not, and over TCP; a peek does not count. Where a packet is
# processed is counted by a BPF program that the kernel's thread runs before its stack.
. "$(dirname "$0")/lib.sh"
need_cpus 2

PORT=7000 FLOWS=64

# CPU: packets that the stack on it has been given
on_cpu()
{
	stat ".cpus[] | select(.cpu == $1) | .received"
}

# The rule is for PORT alone, so that nothing else is counted.
start()
{
	tb_stop sluiced
	daemon --workers 0,1 --cpumap-queue 16384 "$@"
	tb_exec "$TB_B" "$SLUICE" rule add bind udp $PORT action cpumap &&
		tb_exec "$TB_B" "$SLUICE" rule add bind tcp $PORT action cpumap || fail "rule"
}

# ARGUMENTS...: kernel_app in b
app()
{
	tb_start app "$TB_B" "$TOOLS/kernel_app" "$@"
	tb_expect app ready || fail "no program"
}

mark()
{
	mark0=$(on_cpu 0) mark1=$(on_cpu 1)
}

# CPU WHAT COUNT: since the last call of mark, at least COUNT packets, 99 % on this CPU
own_cpu()
{
	local n here
	n=($(($(on_cpu 0) - mark0)) $(($(on_cpu 1) - mark1)))
	here=${n[$1]}
	echo "$2: on CPU $1 $here, on the other ${n[1 - $1]}"
	# Where the machine is busy, a queue may overflow.
	[ $((n[0] + n[1])) -ge $(($3 * 9 / 10)) ] || fail "$2: too few packets to tell"
	[ $((here * 100)) -ge $(((n[0] + n[1]) * 99)) ] || fail "$2: less than 99 % on CPU $1"
}

# RATE COUNT
burst()
{
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport $PORT --flows $FLOWS \
		--cpus 0 --rate "$1" --count "$2" -j >/dev/null || fail "no traffic"
	sleep 0.1
}

# The program has read all that came.
drained()
{
	ip netns exec "$TB_B" cat /proc/net/udp /proc/net/udp6 | awk -v port=":$(printf %04X $PORT)" \
		'index($2, port) && substr($5, 10) != "00000000" { busy = 1 } END { exit busy }'
}

# The first datagram after a reader has moved records where it is, the next one goes there.
warm_up()
{
	for _ in 1 2; do
		burst 4000 $((FLOWS * 2))
		eventually drained || fail "the program does not read"
	done
}

# TO: the same of the one flow of a connected socket
warm_up_connected()
{
	for _ in 1 2; do
		send -d "$1" -p $PORT -S 5000 -f 1 -n 20 -r 1000 >/dev/null
		eventually drained || fail "the program does not read"
	done
}

tb_up 1
start
tb_expect sluiced "ethtool -K DEV tx off" || fail "nothing is said about partial checksums"

# Partial checksums do not survive the redirect; complete ones do.
app -c 1 udp "$TB_B4" $PORT
send -d "$TB_B4" -p $PORT -S 4000 -f 1 -n 100 -r 10000 >/dev/null
sleep 0.2
tb_stop app
equal "received with partial checksums" "$(out app .received)" 0
ip netns exec "$TB_A" ethtool -K "$TB_ADEV" tx off >/dev/null || fail "ethtool"
app -c 1 udp "$TB_B4" $PORT
send -d "$TB_B4" -p $PORT -S 4000 -f 1 -n 100 -r 10000 >/dev/null
sleep 0.2
tb_stop app
equal "received with complete checksums" "$(out app .received)" 100

# How many flows the map gives to CPU 1; false where two share an entry of rps_dev_flow, and so
# a CPU: another start has another key.
explained()
{
	local i said hashes=
	wanted=0
	for ((i = 0; i < FLOWS; i++)); do
		said=$(tb_exec "$TB_B" "$SLUICE" explain -j udp \
			"$TB_A4:$((1024 + i))" "$TB_B4:$PORT" |
			jq -r 'select(.verdict == "redirect_cpu") | "\(.hash) \(.queues[0].cpu)"')
		[ -n "$said" ] || fail "explain"
		hashes="$hashes $((${said% *} % 4096))"
		wanted=$((wanted + ${said#* }))
	done
	# shellcheck disable=SC2086
	[ "$(printf '%s\n' $hashes | sort -u | wc -l)" = $FLOWS ]
}

# Without --kernel-rfs, as the hash and the map say.
for try in {1..20}; do
	start --rps-flow-cnt 4096
	explained && break
	[ "$try" -lt 20 ] || fail "flows always share entries"
done
app -c 1 udp "$TB_B4" $PORT
burst 20000 $((FLOWS * 100))
tb_stop app
echo "without: on CPU 0 $(on_cpu 0), on CPU 1 $(on_cpu 1); $wanted of $FLOWS flows are CPU 1's"
equal "packets on CPU 0" "$(on_cpu 0)" $(((FLOWS - wanted) * 100))
equal "packets on CPU 1" "$(on_cpu 1)" $((wanted * 100))
equal "received" "$(out app .received)" $((FLOWS * 100))
{ [ $wanted -gt 8 ] && [ $wanted -lt $((FLOWS - 8)) ]; } || fail "these flows tell nothing"

start --kernel-rfs
if grep -q "kernel-rfs:" "$TB_DIR/sluiced.err"; then
	skip "$(grep "kernel-rfs:" "$TB_DIR/sluiced.err")"
fi
equal "kernel_rfs" "$(tb_exec "$TB_B" "$SLUICE" rps show -j | jq -r .kernel_rfs)" on
for cpu in 1 0 1; do
	app -c $cpu udp "$TB_B4" $PORT
	warm_up
	mark
	burst 20000 10000
	tb_stop app
	own_cpu $cpu "unconnected UDP" 10000
done

app -c 0 udp :: $PORT
warm_up
mark
burst 20000 10000
tb_stop app
own_cpu 0 "IPv4 on an unconnected IPv6 socket" 10000

# First peeked at on the other CPU.
app -c 1 -p 0 udp "$TB_B4" $PORT
warm_up
mark
burst 1000 2000
tb_stop app
own_cpu 1 "unconnected UDP, peeking" 2000

# Both ways of a connected one: IPv4, IPv6.
for cpu in 0 1; do
	for ends in "$TB_A4 $TB_B4" "$TB_A6 $TB_B6"; do
		read -r from to <<<"$ends"
		app -c $cpu udp "$to" $PORT "$from" 5000
		warm_up_connected "$to"
		mark
		send -d "$to" -p $PORT -S 5000 -f 1 -n 5000 -r 10000 >/dev/null
		sleep 0.1
		tb_stop app
		own_cpu $cpu "connected UDP, $to" 5000
	done
done
app -c 0 -p 1 udp "$TB_B4" $PORT "$TB_A4" 5000
warm_up_connected "$TB_B4"
mark
send -d "$TB_B4" -p $PORT -S 5000 -f 1 -n 2000 -r 1000 >/dev/null
sleep 0.1
tb_stop app
own_cpu 0 "connected UDP, peeking" 2000

for cpu in 1 0; do
	app -c $cpu tcp "$TB_B4" $PORT
	tb_start tcp "$TB_A" "$TOOLS/tcp_xfer" -c "$TB_B4" $PORT 400000000
	sleep 0.3
	mark
	tb_wait tcp || fail "tcp_xfer"
	own_cpu $cpu "TCP" 5000
	tb_wait app
	equal "bytes by TCP" "$(out app .received)" 400000000
done
books_are_closed || fail "the books do not close: $(stat .books)"

start --kernel-rfs -S
app -c 1 udp "$TB_B4" $PORT
warm_up
mark
burst 20000 10000
tb_stop app
own_cpu 1 "in generic mode" 10000
