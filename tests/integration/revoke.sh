#!/usr/bin/env bash
# revoke-final with real nodes: each owner in turn takes back, each time something else, while a run over its data has come to each
# phase before the commit. The run's enclave stands still until all custodians have heard: then it gets no further, the run ends as
# revoked at every node, nothing of the enclave is left, and the next request is refused. What is granted and approved anew counts again.
set -euo pipefail
slots=200
first=1
last=5
tests=$(cd "$(dirname "$0")/.." && pwd)
approve_slots() {
    "$PERIGEE" approve --data $1 --asset "${dataset[$1]}" --workflow "$workflow" --slots "$first-$last" --yes >/dev/null
}
approve_as() { approve_slots "$1"; }
source "$tests/consortium.sh"
source "$tests/feed.sh"

standing=() # what is stopped
freeze() { standing=("$@"); kill -STOP "$@" 2>/dev/null || true; }
thaw() { kill -CONT "${standing[@]}" 2>/dev/null || true; }
approval_of() { # the one that allots the slots in use
    "$PERIGEE" budget --data $1 --asset "${dataset[$1]}" --json | jq -r ".allotments[] | select(.slot_first == $first) | .record"
}
take_back() { # OWNER WHAT
    case $2 in
    workflow) set -- "$1" --workflow "$workflow" ;;
    asset) set -- "$1" --asset "${dataset[$1]}" ;;
    approval) set -- "$1" --approval "$(approval_of "$1")" ;;
    all) set -- "$1" --all ;;
    esac
    "$PERIGEE" revoke --data "$@" >revoked || fail "$*: exit $?: $(cat revoked)"
    [[ $(grep -c 'has it$' revoked) -eq 2 ]] && grep -q '^Final' revoked || fail "$*: not all custodians are said to have it: $(cat revoked)"
}
# Each has granted and approved what it took back, and has given the same slots.
anew() {
    local tries=0
    first=$((last + 1))
    last=$((last + 5))
    slot=$((first - 1))
    for name in a b; do
        "$PERIGEE" grant --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots "$slots" >/dev/null
        approve_slots $name
    done
    until "$PERIGEE" run request --dry-run --data lab --workflow "$workflow" --slot $first >out 2>&1; do
        nap $((tries += 1))
        [[ $tries -lt 600 ]] || fail "what was approved anew never counts: $(cat out)"
    done
}
slot=0
# taken_back OWNER WHAT PHASE: of a run that has come so far. False: its commit came first, and it settled.
taken_back() {
    slot=$((slot + 1))
    [[ $3 != requested ]] || freeze "${node[gpu1]}" "${node[gpu2]}"
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
    if [[ $3 != requested ]]; then
        until_run "$run" "$3" 1
        freeze $(descendants "${node[gpu1]}") $(descendants "${node[gpu2]}") # at once: to ask which it is takes as long as it computes
    fi
    take_back "$1" "$2"
    thaw
    await '.[0].over' lab run show "$run"
    [[ $(as lab state run show "$run") == revoked ]]
}

nothing_left() {
    for name in gpu1 gpu2; do
        await '.[0].enclaves.running == 0' $name status
        [[ -z $(descendants "${node[$name]}") ]] || fail "$name: an enclave's process is left: $(descendants "${node[$name]}")"
        ! find "/proc/${node[$name]}/fd" -lname '/memfd:*' | grep -q . || fail "$name holds a memfd"
    done
}
whats=(workflow asset approval all)
turn=0
late=0
for phase in requested attested keyed computing; do
    for owner in a b; do
        for _ in 1 2 3 4; do
            what=${whats[$((turn % 4))]}
            taken_back $owner $what $phase && break
            late=$((late + 1)) # where nobody could begin there is no such thing, and it is rare elsewhere
            [[ $phase != requested && $late -le 8 && $(as lab state run show "$run") == settled ]] ||
                fail "taken back at $phase: $("$PERIGEE" run show --data lab "$run")"
            anew
        done
        turn=$((turn + 1))
        for name in a b lab gpu1 gpu2; do await '.[0].state == "revoked" and .[0].over and (.[0].receipt | not)' $name run show "$run"; done
        nothing_left
        refused 1 "revoked" run request --data lab --workflow "$workflow" --slot $((slot + 1))
        anew
        echo "$owner took back $what at $phase: revoked at all nodes"
    done
    turn=$((turn + 1)) # the other owner takes back something else in the next phase
done
run=$(as lab run run request --workflow "$workflow" --slot $((slot + 1)))
await '.[0].state == "settled"' lab run show "$run"
end_feed
for name in "${!node[@]}"; do stop "$name"; done
echo passed
