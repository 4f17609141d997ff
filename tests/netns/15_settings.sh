#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only OR BSD-2-Clause
#
#   netns a                                  netns b
#   sluice gen --> veth a ==== 2 queues ==> veth b: XDP --> worker 0 or 1 --> sluice recv
#                                             ^ sluice rps set, again and again
#
# Masks and the size of the flow table change CHANGES times under traffic: nothing is lost,
# and every setting is in effect when the command returns. What Linux refuses is refused with
# the reason, and the old setting stays.
. "$(dirname "$0")/lib.sh"
need_cpus 2

CHANGES=${CHANGES:-1000}

rps()
{
	tb_exec "$TB_B" "$SLUICE" rps "$@"
}

# QUEUE MASK
cpus()
{
	rps set dev "$TB_BDEV" queue "$1" cpus "$2"
}

settings()
{
	rps show -j | jq -r '"\(.rps_sock_flow_entries) " + ([.queues[].rps_cpus] | join(" "))'
}

# WHY ARGUMENTS...: of sluice rps
refused()
{
	local why=$1 before
	shift
	before=$(settings)
	rps "$@" >"$TB_DIR/refused" 2>&1 && fail "rps $* was not refused"
	grep -q -- "$why" "$TB_DIR/refused" || fail "rps $*: $(cat "$TB_DIR/refused"), wanted: $why"
	equal "after the refused rps $*" "$(settings)" "$before"
}

# WORKER: packets it has put into lanes
by_worker()
{
	stat "[.napi[] | select(.worker == $1) | .delivered] | add"
}

tb_up 2
daemon --workers 0,1
mask=$(rps show -j | jq -r '.queues[0].rps_cpus')
equal "mask at the start, as Linux prints it" "$mask" \
	"$(tb_exec "$TB_B" sh -c "cd /sys/class/net/$TB_BDEV/queues/rx-0 && echo 3 >rps_cpus && cat rps_cpus && echo 0 >rps_cpus")"

cpus 0 2 && rps set entries 1000 || fail "set"
equal "settings" "$(settings)" "1024 ${mask/3/2} $mask"
cpus 1 0,00000001 || fail "set with commas"
equal "settings" "$(settings)" "1024 ${mask/3/2} ${mask/3/1}"
cpus 1 0 || fail "set 0"
equal "settings" "$(settings)" "1024 ${mask/3/2} ${mask/3/0}"

refused "no CPU mask" set dev "$TB_BDEV" queue 0 cpus 3x
refused "no CPU mask" set dev "$TB_BDEV" queue 0 cpus 0x3
refused "too large" set dev "$TB_BDEV" queue 0 cpus 123456789
refused "has CPU 1000" set dev "$TB_BDEV" queue 0 cpus "100$(printf ',00000000%.0s' {1..31})"
refused "too large" set dev "$TB_BDEV" queue 0 cpus "1$(printf ',00000000%.0s' {1..32})"
refused "is not served" set dev "$TB_BDEV" queue 2 cpus 1
refused "are too many" set entries 536870913
refused "no number" set entries 4294967296
refused "no number" set entries many
for args in "set entries 64" "set dev $TB_BDEV queue 0 cpus 1" show; do
	# shellcheck disable=SC2086
	tb_exec "$TB_B" setpriv --reuid=65534 --regid=65534 --clear-groups "$SLUICE" rps $args \
		>"$TB_DIR/refused" 2>&1 && fail "rps $args was not refused"
	grep -q "only root" "$TB_DIR/refused" || fail "rps $args: $(cat "$TB_DIR/refused")"
done
equal "settings after refusals" "$(settings)" "1024 ${mask/3/2} ${mask/3/0}"
rps set entries 0 || fail "set entries 0"
equal "entries" "$(rps show -j | jq .rps_sock_flow_entries)" 0
echo "ok    formats and refusals"

# A mask steers from the next packet on, with RFS off.
tb_start recv "$TB_B" "$SLUICE" recv -p 7000 -t 120 -j --cpu 1
eventually serves 7000 || fail "not attached"
cpus 1 1
for worker in 0 1 0; do
	cpus 0 $((1 << worker)) && cpus 1 $((1 << worker)) || fail "set"
	before=$(by_worker $((1 - worker)))
	tb_exec "$TB_A" "$SLUICE" gen -i "$TB_ADEV" --dst "$TB_B4" --dport 7000 --flows 64 \
		--rate 30000 --count 6000 -j >/dev/null
	sleep 0.1
	equal "packets of the other worker" "$(by_worker $((1 - worker)))" "$before"
done
echo "ok    a mask is in effect at once"

generate gen --dst "$TB_B4" --dport 7000 --flows 64 --rate 30000 --time 110
eventually serves 7000 20000 || fail "no traffic"
masks=(1 2 3) sizes=(0 1 64 4096 32768 100000)
for ((i = 0; i < CHANGES; i++)); do
	if ((i % 4 == 3)); then
		rps set entries "${sizes[i / 4 % 6]}" || fail "change $i"
	else
		cpus $((i % 2)) "${masks[i % 3]}" || fail "change $i"
	fi
done
# Two of 64 flows share an entry of 32,768 in one start of sixteen, of these in one of 500.
rps set entries 1048576 || fail "set"
sent=$(sock 7000 delivered)
sleep 0.5
serves 7000 $((sent + 10000)) || fail "no traffic at the end"
here=$(by_worker 1) there=$(by_worker 0)
sleep 0.5
here=$(($(by_worker 1) - here)) there=$(($(by_worker 0) - there))
[ $((here * 100)) -ge $(((here + there) * 99)) ] || fail "RFS: $here by the client's CPU, $there by the other"
tb_stop gen
sleep 0.3
tb_stop recv
equal "received" "$(out recv .received)" $((18000 + $(out gen .sent)))
equal "lost" "$(out recv .lost)" 0
equal "reordered" "$(out recv .reordered)" 0
equal "dropped" "$(stat .books.dropped)" 0
conserved
nothing_kept
echo "ok    $CHANGES changes under traffic: $(out recv .received) received, none lost;" \
	"RFS at the end: $here of $((here + there)) by the client's CPU"
