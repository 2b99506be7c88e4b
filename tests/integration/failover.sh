#!/usr/bin/env bash
# one-certificate, one-output, live: the elected node or its enclave is killed or stopped at work, by real signals to real processes, at
# each phase: each run settles once, in a later term, by whoever is left, and what was stopped gains nothing when it goes on.
set -euo pipefail
slots=130
tests=$(cd "$(dirname "$0")/.." && pwd)
source "$tests/consortium.sh"
source "$tests/feed.sh"

# --- blows -------------------------------------------------------------------------------------------------------------------
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
runs=()
# strike BLOW PHASE: at a run that has come so far. False: its output was committed before the blow came, and it settled as it was.
strike() {
    slot=$((slot + 1))
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
    runs+=("$run")
    until_run "$run" "$2" 1
    [[ $state != settled ]] || return 1
    at=$state
    $1 "$(elected "$run")" "$run"
    await '.[0].state == "settled" and .[0].output != null' lab run show "$run"
    [[ $(as lab term run show "$run") -gt 1 ]]
}
# A run takes half a second, and a look at it some of that: where a blow comes too late there is another run, up to eight, of which one
# must settle in a later term. (When a commit is seen here its receipt is on its way: no blow comes between. tests/unit/proto_failover_test.)
for blow in kill_node kill_enclave stop_node stop_all_of_it; do
    for phase in elected attested keyed computing; do
        for try in 1 2 3 4 5 6 7 8; do
            if strike $blow $phase; then
                later=$((later + 1))
                hit[$at]=$((${hit[$at]:-0} + 1))
                break
            fi
            [[ $try -lt 8 ]] || fail "$blow at $phase: no run of eight settled in a later term"
        done
    done
done
end_feed

# --- each settled once: by one receipt, the same at every node ------------------------------------------------------------------
for run in "${runs[@]}"; do
    for name in a b lab gpu1 gpu2; do
        await '.[0].receipt' $name run show "$run"
        "$PERIGEE" run receipt --data $name "$run" --out receipt.json >/dev/null || fail "$name has no receipt of $run"
        jq -e .core receipt.json
        rm receipt.json
    done | sort -u >cores
    [[ $(wc -l <cores) -eq 1 ]] || fail "run $run settled more than once: $(cat cores)"
done
"$PERIGEE" run receipt --data lab "$run" --out receipt.json >/dev/null
"$PERIGEE" verify receipt.json --consortium "$(sha256sum <charter.json | cut -d' ' -f1)" >/dev/null || fail "verify: exit $?"
for name in "${!node[@]}"; do stop "$name"; done
for at in "${!hit[@]}"; do echo "${hit[$at]} blows at $at"; done
echo "$later of $slot runs settled in a later term"
echo passed
