#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                  netns b
#   sluice gen, one flow --> veth a ==> veth b: XDP --> worker 0 or 1 --> one of two sluice recv,
#   at a time                                                             or the kernel, or dropped
#
# sluice explain says beforehand where the packets of a flow go; the counters say the same after:
# under either hash, and with rules of users.
. "$(dirname "$0")/lib.sh"
need_cpus 2

FLOWS=${FLOWS:-40} PACKETS=20

# SOURCE DESTINATION: as sluice explain writes them
explain()
{
	tb_exec "$TB_B" "$SLUICE" explain udp "$1" "$2" -i "$TB_BDEV" -j
}

# What one flow may change, in one line each
counters()
{
	tb_exec "$TB_B" "$SLUICE" sock -i "$TB_BDEV" -j |
		jq -r '.sockets[] | "pid\(.pid) \(.delivered)"'
	stat_of | jq -r '(.xdp | to_entries[] | "\(.key) \(.value)"),
		(.workers[] | "worker\(.worker) \(.processed)")'
}

# From the two files: what has grown by PACKETS
grown()
{
	join <(sort "$1") <(sort "$2") | awk -v n=$PACKETS '$3 - $2 == n { print $1 }' | sort |
		tr '\n' ' '
}

# OPTIONS...: the daemon and its clients
start()
{
	fresh 1
	daemon --workers 0,1 "$@"
	tb_start any "$TB_B" "$SLUICE" recv -p 7000 -t 200 -j --cpu 0
	tb_start two "$TB_B" "$SLUICE" recv -p 7001 -t 200 -j --cpu 1
	tb_start six "$TB_B" "$SLUICE" recv -6 -p 7006 -t 200 -j --cpu 1
	tb_start exact "$TB_B" "$SLUICE" recv -a "$TB_B4" -p 7002 -t 200 -j --cpu 0
	for port in 7000 7001 7002 7006; do
		eventually serves $port || fail "$port: not attached"
	done
	tb_exec "$TB_B" "$SLUICE" rule add deny 10.99.0.0/16 -i "$TB_BDEV" || fail "deny"
}

# Each flow three times: first its target is by hash, then by RFS, where the client has told
# its CPU.
flows()
{
	for ((i = 0; i < FLOWS; i++)); do
		sport=$((20000 + RANDOM)) src=$TB_A4 dst=$TB_B4 six=
		case $((RANDOM % 8)) in
		0 | 1 | 2) dport=7000 ;;
		3) dport=7001 ;;
		4) dport=7002 ;;
		5) dport=7006 src=$TB_A6 dst=$TB_B6 six=1 ;;
		6) dport=7000 src=10.99.1.$((RANDOM % 250 + 1)) ;;
		7) dport=7003 ;;
		esac
		for round in 1 2 3; do
			if [ -n "$six" ]; then
				said=$(explain "[$src]:$sport" "[$dst]:$dport")
			else
				said=$(explain "$src:$sport" "$dst:$dport")
			fi
			[ -n "$said" ] || fail "explain $src:$sport $dst:$dport"
			wanted=$(jq -r '.verdict, (if .socket then "pid\(.socket.pid)",
				"worker\(.queues[0].worker)" else empty end)' <<<"$said" |
				sort | tr '\n' ' ')
			counters >"$TB_DIR/before"
			sent=$(tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --src "$src" --dst "$dst" \
				--dmac $TB_BMAC --sport $sport --dport $dport --count $PACKETS \
				--rate 20000 -j | jq .sent)
			equal "sent" "$sent" $PACKETS
			# A busy machine takes its time; what goes elsewhere stays there.
			for _ in {1..20}; do
				sleep 0.05
				counters >"$TB_DIR/after"
				got=$(grown "$TB_DIR/before" "$TB_DIR/after")
				[ "$got" != "$wanted" ] || break
			done
			[ "$got" = "$wanted" ] ||
				fail "flow $i, $src:$sport to $dst:$dport: it went $got-" \
					"explain said $wanted: $said"
			kind="$(jq -r '"\(.verdict)/\(.queues[0].by // "-")"' <<<"$said")"
			kinds[$kind]=$((${kinds[$kind]:-0} + 1))
		done
	done
}

tb_up 1
RANDOM=${SEED:-77}
declare -A kinds=()
start
flows
equal "reason" "$(explain 10.77.0.1:1 10.77.0.99:7000 | jq -r .verdict)" pass_addr
tcp=$(tb_exec "$TB_B" "$SLUICE" explain tcp 10.77.0.1:1 10.77.0.2:7000 -j)
equal "tcp" "$(jq -r .verdict <<<"$tcp")" pass_l4
start --hash toeplitz
for rule in "udp 7003 action drop" "udp 7002 addr $TB_B4 action pass"; do
	# shellcheck disable=SC2086
	tb_exec "$TB_B" "$SLUICE" rule add bind $rule -i "$TB_BDEV" || fail "rule $rule"
done
flows
equal "rule" "$(explain 10.77.0.1:1 10.77.0.2:7003 | jq -r '.rule.kind + .rule.match')" \
	"bindudp *:7003"
equal "no rule" "$(explain 10.77.0.1:1 10.77.0.99:7003 | jq -r .verdict)" pass_port
for kind in "${!kinds[@]}"; do
	echo "      $kind: ${kinds[$kind]}"
done
for kind in redirect/rps redirect/rfs drop_deny/- pass_port/- drop_rule/- pass_rule/-; do
	[ "${kinds[$kind]:-0}" -gt 0 ] || fail "no flow was $kind"
done
echo "ok    twice $FLOWS flows went where explain had said"
