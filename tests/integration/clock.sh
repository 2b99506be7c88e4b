#!/usr/bin/env bash
# A custodian's wall clock goes an hour wrong, either way, and jumps back and forth while runs go on (tests/integration/clock_shim.c,
# for this test only): it says so, signs no record, neither votes nor releases; runs settle by the others; with the right time it
# goes on, and nobody ever signed two records in one place. `no-fork`, `quorum-release`, `live` of DESIGN's properties.
set -euo pipefail
shim=$PERIGEE_BUILD_DIR/tests/libclock_shim.so
if nm -D "${PERIGEE:?the program}" | grep -q __asan_init; then
    echo "SKIPPED: the address sanitizer must be loaded first, and the clock's shim too"
    exit 77
fi
founders="a b gpu2"
start() { PERIGEE_TEST_CLOCK=$tmp/$1.clock LD_PRELOAD=$shim "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 & node[$1]=$!; }
source "$(dirname "$0")/../consortium.sh"
# At once: a reader sees the old number or the new one.
clock() {
    echo "$2" >"$1.next"
    mv "$1.next" "$1.clock"
}
slot=0
ask() {
    slot=$((slot + 1))
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
}
settled() { await '.[0].state == "settled" and .[0].output != null' lab run show "$run"; }
stopped() { await '.[0].clock.stopped' gpu2 status; }
right() { await '.[0].clock | .offset_ms != null and (.stopped or .silent | not)' gpu2 status; }
right
says() { # its status is of now; its log, of the last tick
    for _ in $(seq 1200); do
        grep -qF -- "$1" gpu2.log && return
        sleep 0.02
    done
    fail "its log never says: $1"
}
hour=3600000
measure=$("$PERIGEE" workers measure)
for wrong in $hour -$hour; do
    clock gpu2 $wrong
    stopped
    "$PERIGEE" status --data gpu2 >out || fail "status: $(cat out)"
    grep -q "set this machine's clock" out || fail "what to do is not said: $(cat out)"
    "$PERIGEE" doctor --data gpu2 >report && fail "doctor finds nothing wrong: $(cat report)"
    grep -q '^FAIL  clock ' report || fail "the clock is not told: $(cat report)"
    grep -q 'signing' report && fail "the clock alone is to be seen to: $(cat report)"
    grep -q 'anew' out && fail "its records are not dated ahead, its clock is wrong: $(cat out)"
    refused 75 "clock" workers register --data gpu2 --name "set$slot" "$measure"
    ask
    settled
    clock gpu2 0
    right
    "$PERIGEE" workers register --data gpu2 --name "set$slot" "$measure" >out 2>&1 || fail "with the right time: $(cat out)"
done
# An owner's keeps its data from every run: whoever asks for one is told whose clock it is.
clock b $hour
for _ in $(seq 600); do
    { "$PERIGEE" run request --dry-run --workflow "$workflow" --data lab --json || true; } >plan
    grep -q 'the owner serves its data, and its clock is 3[56][0-9]* s ahead of the custodians' plan && break
    sleep 0.05
done
jq -e '(.ready | not) and any(.conditions[]; .what == "owner linked" and .who == "b-org" and (.ok | not))' plan >/dev/null ||
    fail "whose clock it is is not said: $(cat plan)"
clock b 0
await '.[0].ready' lab run request --dry-run --workflow "$workflow"
says "this node neither votes nor releases"
says "agrees with the other custodians' again"

# --- it jumps while runs go on ---------------------------------------------------------------------------------------------------
jumps=0
for round in 1 2 3 4; do
    ask
    until [[ $(as lab state run show "$run") == settled ]]; do
        for offset in $hour 0 -$hour 0 $((hour / 60)) 0; do
            clock gpu2 $offset
            jumps=$((jumps + 1))
        done
    done
done
# --- with the right time it is there again when it is needed -------------------------------------------------------------------------
clock gpu2 0
right
kill -STOP "${node[a]}" # an owner that is stopped serves no chunk: only until what follows is decided without it
ask
await '.[0].state != "requested"' lab run show "$run" # elected by the votes of two, of which gpu2's is one
kill -CONT "${node[a]}"
settled
await ".[0].records == $(as gpu2 records status)" a status
records=$(as a records status)
for name in a b lab gpu1 gpu2; do await ".[0].records == $records" $name status; done
if grep -l equivocation ./*.log; then fail "a node signed two records in one place"; fi
for name in "${!node[@]}"; do stop "$name"; done
echo "$jumps jumps of the clock, $slot runs settled"
echo passed
