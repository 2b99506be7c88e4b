#!/usr/bin/env bash
# Five nodes in five network namespaces, and between them a wire that delays and loses (tests/integration/switch.c): a run settles
# under 50 ms and 2 % of loss, fails over from an elected node that is cut off in the middle of it, and members that were cut in two
# hold the same records once it heals. `live`, `one-certificate`, `converge`. Everything is inside namespaces of the test's own, and
# gone with its first process however it ends.
set -euo pipefail
if [[ -z ${PERIGEE_OWN_NETWORK:-} ]]; then
    how="--net --mount --pid --fork --kill-child --mount-proc"
    [[ $(id -u) -eq 0 ]] || how="$how --user --map-root-user"
    if ! unshare $how sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add try &&
        ip link add port type veth peer name eth0 netns try && ip -n try link set lo up' 2>/dev/null; then
        echo "SKIPPED: this system gives no network namespaces"
        exit 77
    fi
    PERIGEE_OWN_NETWORK=1 exec unshare $how bash "$0"
fi
mount -t tmpfs tmpfs /run
mkdir /run/netns
declare -A host=([a]=1 [b]=2 [lab]=3 [gpu1]=4 [gpu2]=5)
founders="a b gpu2"
address_of() { echo "tcp://10.99.0.${host[$1]}:7000"; }
start() { ip netns exec "$1" "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 & node[$1]=$!; }

# --- five hosts on one wire --------------------------------------------------------------------------------------------------------
tests=$(cd "$(dirname "$0")/.." && pwd)
source "$tests/nodes.sh"
for name in "${!host[@]}"; do
    ip netns add "$name"
    ip link add name "$name" type veth peer name eth0 netns "$name"
    ip link set dev "$name" up
    ip -n "$name" address add "10.99.0.${host[$name]}/24" dev eth0
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
done
sky="0 0 0"
declare -A away
blow() {
    echo "$sky ${!away[*]}" >weather.next
    mv weather.next weather
}
weather() {
    sky="$*"
    blow
}
# Nothing comes through any more, and nobody is told.
cut() {
    away[$1]=1
    blow
}
heal() {
    unset "away[$1]"
    blow
}
weather 0 0 0
"$PERIGEE_BUILD_DIR/tests/switch" weather "${!host[@]}" & node[wire]=$!
source "$tests/consortium.sh"
slot=0
ask() {
    slot=$((slot + 1))
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
}
settled() { await '.[0].state == "settled" and .[0].output != null' lab run show "$run"; }

# --- loss and delay -------------------------------------------------------------------------------------------------------------------
weather 50 10 20
ask
settled

# --- the elected node is cut off in the middle of its run --------------------------------------------------------------------------------
failed_over=0
for round in 1 2 3; do
    ask
    quick=1 await '.[0].state as $s | ["elected", "attested", "keyed", "computing", "committed", "released", "settled"] | index($s) != null' lab run show "$run"
    elected=$(as lab organisation run show "$run" | sed 's/-org$//')
    cut "$elected"
    settled
    [[ $(as lab term run show "$run") -gt 1 ]] && failed_over=$((failed_over + 1))
    [[ $("$PERIGEE" run list --data lab --json | jq -s "map(select(.slot == $slot and .receipt)) | length") -eq 1 ]] ||
        fail "slot $slot is not spent by exactly one run"
    heal "$elected"
    for name in "${!host[@]}"; do await '.[0].peers | map(select(.up)) | length == 4' "$name" status; done
done
[[ $failed_over -gt 0 ]] || fail "no node was cut off in time: nothing was tested"

# --- cut in two while both sides write; then the same everywhere ------------------------------------------------------------------------------
cut a
cut gpu1
for name in a lab b; do
    i=0
    while [[ $((i += 1)) -le 5 ]]; do
        sed -e "s/[ab]-cohort/$name-apart-$i/" -e "s/^name: ages/name: $name-apart-$i/" "$([[ $name == lab ]] && echo app || echo $name).yaml" >more.yaml
        "$PERIGEE" asset register --data $name more.yaml >/dev/null
    done
done
[[ $(as a records status) -ne $(as b records status) || $(as a records status) -ne $(as gpu1 records status) ]] ||
    fail "nobody was apart: nothing was tested"
heal a
heal gpu1
same='length == 18' # three, and five from each of three
for name in "${!host[@]}"; do await "$same" "$name" asset list; done
assets() { "$PERIGEE" asset list --data "$1" --json | jq -S -c '{dt, version, owner}' | sort; }
for name in "${!host[@]}"; do
    [[ $(assets "$name") == "$(assets a)" ]] || fail "$name holds other assets than a"
    await ".[0].records == $(as a records status)" "$name" status
done
weather 1 0 0
ask
settled
if grep -l equivocation ./*.log; then fail "a node signed two records in one place"; fi
for name in "${!host[@]}"; do stop "$name"; done
echo "$slot runs settled, $failed_over of 3 failed over from a node that was cut off"
echo passed
