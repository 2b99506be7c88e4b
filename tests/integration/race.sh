#!/usr/bin/env bash
# Three requesters ask for a run in one and the same slot at once, each at its own node, and two of three custodians are enough: one
# run settles at most, the others are refused for the slot, and it is spent once, at every node and in both owners' budgets. Or each
# custodian has voted for another run: then the slot is split, for ever, and none settles. `budget`. PERIGEE_ROUNDS=28: more slots.
set -euo pipefail
slots=${PERIGEE_ROUNDS:-6}
founders="a b lab"
requesters="lab a b"
source "$(dirname "$0")/../consortium.sh"
promised=${PERIGEE_BUILD_DIR:?}/tests/promised
everyone="a b lab gpu1 gpu2"

# --- a race ---------------------------------------------------------------------------------------------------------------------
request() { # until its node does not say "try later"
    local code=75
    while [[ $code -eq 75 ]]; do
        code=0
        "$PERIGEE" run request --data "$1" --workflow "$workflow" --slot "$2" --json >"said.$1" 2>&1 || code=$?
    done
}
# Leaves the runs in $runs. Whose node has heard of another's run before it asks is refused at once.
race() {
    local name asking=()
    for name in $requesters; do
        request "$name" "$1" &
        asking+=($!)
    done
    wait "${asking[@]}"
    jq -es 'all(.run != null or .reason == "slot-spent")' $(printf 'said.%s ' $requesters) >/dev/null ||
        fail "slot $1: an answer that is neither a run nor slot-spent: $(cat said.*)"
    runs=($(jq -r '.run // empty' $(printf 'said.%s ' $requesters)))
    [[ ${#runs[@]} -gt 0 ]] || fail "slot $1 was refused to all: $(cat said.*)"
}
votes_for() { grep -c " $1\$" votes || true; }
# Can no run of this slot have enough votes any more? A custodian's vote in a slot is for ever.
split() {
    local name run free
    for name in $founders; do "$promised" "$name" >"votes.$name" || fail "the votes of $name cannot be read"; done
    awk -v slot="$1" '$1 == slot' $(printf 'votes.%s ' $founders) >votes
    free=$((3 - $(wc -l <votes)))
    for run in "${runs[@]}"; do [[ $(($(votes_for "$run") + free)) -lt 2 ]] || return 1; done
}
of_slot() { echo "map(select(.slot == $1))"; }
settled() { "$PERIGEE" run list --data lab --json | jq -es "$(of_slot "$1") | any(.receipt)" >/dev/null; }
# Leaves "settled" or "split" in $outcome.
decided() {
    local try=0 end=$((SECONDS + 120))
    while [[ $SECONDS -lt $end ]]; do
        if settled "$1"; then outcome=settled && return; fi
        if split "$1"; then outcome=split && return; fi
        nap $((try += 1))
    done
    fail "slot $1 is neither settled nor split: $("$PERIGEE" run list --data lab --json | jq -sc "$(of_slot "$1")"); votes: $(cat votes)"
}

# as_decided NAME SLOT: so it is at this node, once nothing of it can change there.
as_decided() {
    local known="$(of_slot "$2") | length == ${#runs[@]}" ends='all(.receipt | not)'
    if [[ $outcome == settled ]]; then
        known+=' and any(.receipt) and all(.over) and (map(select(.receipt | not)) | all(.state == "refused" and .reason == "slot-spent"))'
        ends='(map(select(.receipt and .state == "settled")) | length) == 1'
    fi
    await "$known" "$1" run list
    "$PERIGEE" run list --data "$1" --json | jq -s "$(of_slot "$2")" >known
    jq -e "($ends) and all(.receipt or .phases.elected == null)" known >/dev/null ||
        fail "slot $2 is $outcome, and at $1: $(jq -c 'map({run, state, reason, receipt, phases})' known)"
}

declare -A count=([settled]=0 [split]=0)
raced=0
for ((slot = 1; slot <= slots; slot++)); do
    race $slot
    decided $slot
    count[$outcome]=$((count[$outcome] + 1))
    [[ ${#runs[@]} -lt 2 ]] || raced=$((raced + 1))
    for name in $everyone; do as_decided $name $slot; done
    for name in $requesters; do
        refused 1 'another run holds this slot' run request --data $name --workflow "$workflow" --slot $slot
    done
done

# --- what every node says in the end --------------------------------------------------------------------------------------------
for name in $everyone; do
    "$PERIGEE" run list --data $name --json | jq -sc 'map([.slot, .run, .requester, .receipt]) | sort' >list.$name
    cmp -s list.$name list.a || fail "$name and a do not agree: $(cat list.$name list.a)"
done
receipts=$(jq -c 'map(select(.[3]) | "\(.[0]) \(.[1])")' list.a)
[[ $(jq 'map(split(" ")[0]) | unique | length' <<<"$receipts") -eq ${count[settled]} && $(jq length <<<"$receipts") -eq ${count[settled]} ]] ||
    fail "${count[settled]} slots were settled, and there are receipts of $receipts"
for name in $founders; do "$promised" $name; done >votes
while read -r slot run; do
    [[ $(votes_for "$run") -ge 2 ]] || fail "the run of slot $slot has not the votes of two custodians: $(grep "^$slot " votes)"
done < <(jq -r '.[]' <<<"$receipts")
for name in a b; do
    "$PERIGEE" budget --data $name --asset "${dataset[$name]}" --json >budget.$name
    jq -e --arg slots $slots --argjson receipts "$receipts" '.allotted == $slots and .left == $slots and (.allotments | length == 1) and
        ([.allotments[].runs[] | select(.spent) | "\(.slot) \(.run)"] | sort) == ($receipts | sort)' budget.$name >/dev/null ||
        fail "the budget of $name: $(jq -c '.allotments[].runs[] | [.slot, .run, .spent]' budget.$name), receipts of $receipts"
done
[[ ${count[settled]} -gt 0 ]] || fail "all $slots slots were split: no run settled, and nothing was tested"
[[ $raced -gt 0 ]] || fail "in each slot one node had its run before the others asked: nothing was raced"
echo "$slots slots raced, ${count[settled]} settled, ${count[split]} split; in $raced two runs or more were recorded"
echo passed
