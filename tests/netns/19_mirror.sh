#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                               netns b: sluiced --role mirror
#   gen, raw_send, ping: frames for others --> veth a ==> veth b: XDP --> worker --> monitor
#   (foreign MAC and IP addresses, tags)                          \-> the kernel: what has no flow
#
# In role mirror everything that has a flow comes to the worker, whoever it was for, and has one
# fate there; sockets see it only where a privileged process attached them; rules and the default
# decide about the rest.
. "$(dirname "$0")/lib.sh"
need_cpus 2

COUNT=20000 FEW=50
FAR_MAC=02:99:00:00:00:09 FAR=10.88.0.9 FAR6=fd88::9

rule()
{
	tb_exec "$TB_B" "$SLUICE" rule "$@" -i "$TB_BDEV"
}

# ADDRESS PORT [OPTIONS]...: a stream to somebody else; how many frames
far()
{
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$1" --dport "$2" --count $COUNT \
		--rate 100000 --dmac $FAR_MAC -j "${@:3}" | jq .sent
}

# HEX: the ones' complement sum of its 16-bit words, inverted
csum()
{
	local hex=${1// } sum=0 i
	for ((i = 0; i < ${#hex}; i += 4)); do
		sum=$((sum + 0x${hex:i:4}))
	done
	sum=$(((sum & 0xffff) + (sum >> 16)))
	printf '%04x' $((0xffff ^ ((sum & 0xffff) + (sum >> 16))))
}

# PROTO FRAG OPTIONS PAYLOAD, in hexadecimal: an IPv4 packet from 10.77.0.1 to 10.88.0.9
ip4()
{
	local head tail
	head=$(printf '4%x00%04x0001%s40%s' $((5 + ${#3} / 8)) \
		$((20 + ${#3} / 2 + ${#4} / 2)) "$2" "$1")
	tail=0a4d00010a580009$3
	echo "$head$(csum "$head$tail")$tail$4"
}

# Each frame FEW times, from standard input, behind the two MAC addresses.
raw()
{
	sed "s/^/${FAR_MAC//:}${TB_AMAC//:}/" |
		tb_exec "$TB_A" "$TOOLS/raw_send" "$TB_ADEV" $FEW || fail "raw_send"
}

# NAME: how many of these the workers have dropped
dropped()
{
	stat "[.napi[].drops.$1] | add"
}

dropped_since()
{
	[ "$(dropped "$1")" -ge "$2" ]
}

# NAME PACKETS: so many are dropped for this reason, at last; the two kernels' own few not counted
drops()
{
	eventually dropped_since "$1" "$2" || fail "dropped for $1: $(dropped "$1"), wanted $2"
	[ "$(dropped "$1")" -lt $(($2 + FEW)) ] || fail "dropped for $1: $(dropped "$1"), wanted $2"
}

tb_up 2
daemon --workers 1 --role mirror --ring 16384
tb_start monitor "$TB_B" "$SLUICE" recv -p 7000 -t 120 -j
tb_start monitor6 "$TB_B" "$SLUICE" recv -6 -p 7006 -t 120 -j
eventually serves 7000 || fail "not attached"
eventually serves 7006 || fail "IPv6: not attached"

four=$(far $FAR 7000)
six=$(far $FAR6 7006 --src $TB_A6)
own=$(tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst $TB_B4 --dport 7000 --count $COUNT \
	--rate 100000 -j | jq .sent)
nobody=$(far $FAR 7001)
eventually serves 7000 $((four + own)) || fail "the monitor was given too little"
eventually serves 7006 "$six" || fail "IPv6: the monitor was given too little"
equal "delivered" "$(sock 7000 delivered)" $((four + own))
equal "delivered, IPv6" "$(sock 7006 delivered)" "$six"
drops no_socket "$nobody"
equal "pass_mac, pass_addr, pass_port" "$(stat '.xdp | .pass_mac + .pass_addr + .pass_port')" 0
echo "ok    streams for others: $four + $six, for this host: $own, for no socket: $nobody"

udp=04d21b58000c000061626364
{
	echo "88a80005810000060800$(ip4 11 4000 '' $udp)"
	echo "8100000f0800$(ip4 11 4000 '' $udp)"
} | raw
eventually serves 7000 $((four + own + 2 * FEW)) || fail "tagged frames were not delivered"
{
	echo "0800$(ip4 11 2000 '' $udp)"		# a first fragment
	echo "0800$(ip4 11 0064 '' 61626364)"		# a later one
	echo "0800$(ip4 11 4000 94040000 $udp)"		# router alert
	echo "0800$(ip4 06 4000 '' 04d20016000000010000000050020200000000000000)"	# TCP
	echo "0800$(ip4 84 4000 '' 04d2001600000000000000000000)"			# SCTP
	echo "0800$(ip4 01 4000 '' 0800000000010001)"					# ICMP
	echo "0806000108000604000102770000000100000000$(printf '%020d' 0)0a580009"	# ARP
	echo "88cc0207040277000000010602$(printf '%020d' 0)"				# LLDP
} | raw
drops ip_frag $((2 * FEW))
drops ip_options $FEW
drops ip_proto $((3 * FEW))
equal "delivered with the tagged ones" "$(sock 7000 delivered)" $((four + own + 2 * FEW))
[ "$(stat .xdp.pass_hash)" -ge $((2 * FEW)) ] || fail "ARP or LLDP was steered"
conserved
echo "ok    tags, fragments, options, TCP, SCTP, ICMP each with their own end; ARP, LLDP passed"

rule add deny 10.99.0.0/16 || fail "deny"
denied=$(far $FAR 7000 --src 10.99.1.1)
equal "denied, for another MAC address" "$(stat .xdp.drop_deny)" "$denied"
rule add bind udp 7000 addr $FAR action drop || fail "bind rule"
ruled=$(far $FAR 7000)
other=$(far 10.88.0.10 7000)
equal "its rule has counted" "$(rule show -j | jq '.rules[0].packets')" "$ruled"
eventually serves 7000 $((four + own + 2 * FEW + other)) || fail "another address was dropped"
rule flush || fail "flush"
echo "ok    rules: denied $denied, dropped $ruled, and none of $other to another address"

why=$(tb_exec "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups \
	"$SLUICE" recv -p 7002 -t 1 2>&1)
grep -q "role mirror" <<<"$why" || fail "refused without the reason: $why"
tb_exec "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups \
	"$SLUICE" recv -p 7002 -t 1 --require 2>/dev/null && fail "anybody may see it"
tb_start able "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups \
	--inh-caps=+net_admin --ambient-caps=+net_admin "$TOOLS/udp_recv" -p 7003 -t 60 -R -T
tb_expect able ready || fail "a socket of CAP_NET_ADMIN was refused: $(cat "$TB_DIR/able.err")"
tb_stop able
echo "ok    attach: refused to nobody, granted to CAP_NET_ADMIN"

for action in drop pass drop pass; do
	rule set default $action || fail "default $action"
	far $FAR 7001 >/dev/null
	passed=$(stat .xdp.drop_rule) through=$(stat .xdp.pass_port)
	tb_exec "$TB_A" ping -c 2 -i 0.2 -W 1 $TB_B4 >/dev/null && answered=pass || answered=drop
	equal "ping under default $action" $answered $action
done
[ "$passed" -ge $((2 * COUNT)) ] || fail "default drop: only $passed dropped"
[ "$through" -ge $((2 * COUNT)) ] || fail "default pass: only $through passed"
last=$(far $FAR 7000)
eventually serves 7000 $((four + own + 2 * FEW + other + last)) || fail "default pass: not attached"
equal "books: ruled out" "$(stat .books.ruled_out)" "$(stat .xdp.drop_rule)"
conserved
echo "ok    default drop and pass at run time; $last for the socket all the same"

tb_stop monitor
tb_stop monitor6
equal "lost" "$(out monitor .lost)" 0
equal "lost, IPv6" "$(out monitor6 .lost)" 0
nothing_kept
echo "ok    received $(out monitor .received) + $(out monitor6 .received)"
