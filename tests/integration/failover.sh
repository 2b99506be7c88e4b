#!/usr/bin/env bash
# The elected node or its enclave is killed or stopped at work, by real signals to real processes: each run settles once, in a
# later term, by whoever is left.
set -euo pipefail
slots=60
source "$(dirname "$0")/../consortium.sh"

# --- what lab's node says of runs, as it happens -----------------------------------------------------------------------------
mkfifo feed
"$PERIGEE" events --data lab --json >feed 2>events.err &
node[feed]=$!
exec 3<feed
until curl -sS --unix-socket lab/api.sock http://node/metrics | grep -qx 'perigee_event_followers 1'; do sleep 0.02; done
phases=(elected attested keyed computing committed settled)
# until_run RUN PHASE TERM: it has come so far, in this term or a later one. Leaves its phase in $state.
until_run() {
    local line want=" ${phases[*]} "
    want=" $2 ${want#* "$2" }"
    while read -r -t 60 line <&3; do
        [[ $line =~ \"run\":\"$1\".*\"state\":\"([a-z-]+)\",\"term\":([0-9]+) ]] || continue
        state=${BASH_REMATCH[1]}
        [[ $state == settled || (${BASH_REMATCH[2]} -ge $3 && $want == *" $state "*) ]] && return
    done
    fail "run $1 never came to $2: $("$PERIGEE" run show --data lab "$1")"
}

# --- blows -------------------------------------------------------------------------------------------------------------------
descendants() { local child; for child in $(pgrep -P "$1"); do echo "$child"; descendants "$child"; done; }
elected() { curl -sS --unix-socket lab/api.sock "http://node/v1/runs/$1" | sed 's/.*"organisation":"\([a-z0-9]*\)-org".*/\1/'; }
again() { wait "${node[$1]}" 2>/dev/null || true; start "$1"; }
kill_node() { kill -9 "${node[$1]}"; again "$1"; }
kill_enclave() { descendants "${node[$1]}" | xargs -r kill -9 2>/dev/null || true; } # one may have ended by itself
# Longer than the lease; then it goes on with whatever came meanwhile, and gains nothing.
stop_node() { kill -STOP "${node[$1]}"; until_run "$2" elected 2; kill -CONT "${node[$1]}"; }
stop_all_of_it() {
    local all; all="${node[$1]} $(descendants "${node[$1]}")"
    kill -STOP $all 2>/dev/null || true
    until_run "$2" elected 2
    kill -CONT $all 2>/dev/null || true
}
slot=0
later=0
declare -A hit
# strike BLOW PHASE: at a run that has come so far. False: it had settled before the blow came.
strike() {
    slot=$((slot + 1))
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
    until_run "$run" "$2" 1
    [[ $state != settled ]] || return 1
    at=$state
    $1 "$(elected "$run")" "$run"
    await '.[0].state == "settled" and .[0].output != null' lab run show "$run"
    [[ $("$PERIGEE" run list --data lab --json | jq -s "map(select(.slot == $slot and .receipt)) | length") -eq 1 ]] ||
        fail "slot $slot is not spent by exactly one run"
    [[ $(as lab term run show "$run") -gt 1 ]]
}
# A run takes half a second, and a look at it some of that: where a blow comes too late there is another run, up to five.
for blow in kill_node kill_enclave stop_node stop_all_of_it; do
    before=$later
    for phase in elected attested computing; do
        for _ in 1 2 3 4 5; do
            if strike $blow $phase; then
                later=$((later + 1))
                hit[$at]=$((${hit[$at]:-0} + 1))
                break
            fi
        done
    done
    [[ $later -gt $before ]] || fail "$blow never came in time: it was not tested"
done
"$PERIGEE" run receipt --data lab "$run" --out receipt.json >/dev/null
"$PERIGEE" verify receipt.json --consortium "$(sha256sum <charter.json | cut -d' ' -f1)" >/dev/null || fail "verify: exit $?"
kill "${node[feed]}" && wait "${node[feed]}" || true
unset 'node[feed]'
for name in "${!node[@]}"; do stop "$name"; done
for at in "${!hit[@]}"; do echo "${hit[$at]} blows at $at"; done
echo "$later of $slot runs settled in a later term"
echo passed
