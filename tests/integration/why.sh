#!/usr/bin/env bash
# What a run still needs, and what it waits for: every condition that is missing is named before anything is requested, and of a
# run that does not go on; once it is there, it is not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../consortium.sh"

# missing WHAT WHO COMMAND...: until the JSON of this command names this condition, and says that it is not met.
missing() { missing_for '' "$@"; }
# missing_for TEXT ...: and the detail has this text.
missing_for() {
    local text=$1 what=$2 who=$3
    shift 3
    for _ in $(seq 600); do
        "$PERIGEE" "$@" --data lab --json >said || true
        jq -e --arg what "$what" --arg who "$who" --arg text "$text" \
            'any(.conditions[]; .what == $what and (.who // "") == $who and (.ok | not) and .detail != "" and (.detail | contains($text)))' \
            said >/dev/null && return
        sleep 0.05
    done
    fail "$*: expected a missing $what of '$who' in $(cat said)"
}
plan=(run request --dry-run --workflow "$workflow")
ready() { # a machine that is busy may be late with what shows that it is there
    for _ in $(seq 600); do
        "$PERIGEE" "${plan[@]}" --data lab --json >said && jq -e '.ready and all(.conditions[]; .ok)' said >/dev/null && return
        sleep 0.05
    done
    fail "not ready: $(cat said)"
}

ready
[[ $(jq -r '"\(.slot) \(.epsilon)"' said) == "1 1" ]] || fail "expected slot 1 at epsilon 1: $(cat said)"
[[ $("$PERIGEE" run list --data lab --json | wc -l) -eq 0 ]] || fail "a dry run was requested"
"$PERIGEE" "${plan[@]}" --data lab | grep -q '^ready' || fail "a person is not told that it is ready"
refused 3 'requests nothing' "${plan[@]}" --data lab --wait

# --- a custodian knows of its own part --------------------------------------------------------------------------------------------
own_shares() { ("$PERIGEE" "${plan[@]}" --data a --json || true) | jq -ce '.conditions[] | select(.what == "key shares")'; }
[[ $(own_shares | jq -c '[.who, .ok]') == '["a-org",true]' ]] || fail "its own shares are there: $(own_shares)"
mv a/keygen/1-1.share a.share
await '.[0].key_shares.good | not' a status
own_shares | jq -e '(.ok | not) and .who == "a-org" and (.detail | startswith("keygen/1-1.share: expected"))' >/dev/null ||
    fail "it does not say that its share is lost: $(own_shares)"
mv a.share a/keygen/1-1.share
await '.[0].key_shares.good' a status

# --- nobody computes -----------------------------------------------------------------------------------------------------------
stop gpu1
stop gpu2
for name in gpu1 gpu2; do await "any(.[0].peers[]; .organisation == \"$name-org\" and (.up | not))" lab status; done
missing compute '' "${plan[@]}"
jq -e 'any(.conditions[]; .what == "compute" and (.members | length) == 2 and all(.members[]; .why == "it is not linked here"))' said \
    >/dev/null || fail "it does not say why each may not: $(cat said)"
run=$(as lab run run request --workflow "$workflow")
missing compute '' run why "$run"
"$PERIGEE" run why --data lab "$run" >text
grep -q '^requested: ' text && grep -q 'missing  compute' text || fail "a person is not told: $(cat text)"

# --- an owner is linked, and says nothing; a custodian with it -------------------------------------------------------------------
kill -STOP "${node[b]}"
missing_for 'linked here, and not heard from for' 'owner linked' b-org run why "$run"
missing_for 'b-org: it is linked here, and not heard from for' custodians '' run why "$run"
await '.[0].waits_for | contains("not heard from: b-org")' lab run show "$run"
kill -CONT "${node[b]}"

# --- an owner is away, and a custodian with it ---------------------------------------------------------------------------------
stop b
await 'any(.[0].peers[]; .organisation == "b-org" and (.up | not))' lab status
missing 'owner linked' b-org run why "$run"
missing custodians '' run why "$run"
start b
start gpu1
await '.[0].state == "settled"' lab run show "$run"
[[ $(as lab waits_for run why "$run") == "nothing: it is settled" ]] || fail "a settled run waits for something"

# --- what records lack -----------------------------------------------------------------------------------------------------------
await 'any(.[0].peers[]; .organisation == "gpu1-org" and .up)' lab status
ready
[[ $(jq .slot said) -eq 2 ]] || fail "slot 1 is used: $(cat said)"
kill -STOP "${node[gpu1]}"
missing compute '' "${plan[@]}"
jq -e 'any(.conditions[] | select(.what == "compute").members[]; .why | startswith("it is linked here, and not heard from for "))' said \
    >/dev/null || fail "a compute node that says nothing counts: $(cat said)"
kill -CONT "${node[gpu1]}"
ready
missing slot '' "${plan[@]}" --slot 1
missing data a-org "${plan[@]}" --slot 31
sed 's/^name: ages/name: others/; s/workers: default/workers: nobody/' workflow.yaml >other.yaml # nothing is sealed for it
other=(run request --dry-run --workflow "$(as lab compose workflow publish --app "$app" other.yaml)")
missing data a-org "${other[@]}"
missing_for 'workers register' workers '' "${other[@]}"
jq -e '.slot == null' said >/dev/null || fail "a slot is named that was not chosen: $(cat said)"
("$PERIGEE" "${other[@]}" --data lab || true) >text
grep -q '^no slot chosen, epsilon 1 ' text || fail "a person is told of a slot: $(cat text)"
of_gpu2() { await ".[0].conditions[] | select(.what == \"compute\").members | any(.who == \"gpu2-org\" and ($1))" lab "${plan[@]}"; }
# A compute node under another name than the stewards admitted says so itself, and so does its advert to others.
cp gpu2/perigee.yaml gpu2.yaml
sed -i 's/^compute:/&\n  platform: elsewhere/' gpu2/perigee.yaml
start gpu2
await '.[0].enclaves.why | contains("compute.platform")' gpu2 status
("$PERIGEE" doctor --data gpu2 --json || true) | jq -es 'any(.[]; .check == "compute" and .finding == "fail")' >/dev/null ||
    fail "its doctor finds nothing: $("$PERIGEE" doctor --data gpu2 --json)"
of_gpu2 '.why | contains("compute.platform")'
stop gpu2
of_gpu2 '.why == "it is not linked here"'
sed '/^compute:/,/^[^ ]/{/^compute:/d;/^ /d}' gpu2.yaml >gpu2/perigee.yaml
start gpu2
of_gpu2 '.why | startswith("it offers no enclaves")'
await '.[0].enclaves == null' gpu2 status
stop gpu2
mv gpu2.yaml gpu2/perigee.yaml
start gpu2
of_gpu2 .ok
await 'any(.[0].peers[]; .organisation == "gpu2-org" and .up)' b status
# A program that no steward registered gets no keys: its own node says so, and that is all that knows what it is. A run that was
# refused for it is not over, and goes on once it is registered.
await '.[0].enclaves | .max > 0 and .why == null' gpu2 status
own=$("$PERIGEE" workers measure)
register() {
    for name in a b; do "$PERIGEE" workers register --data $name --name default "$1" >/dev/null; done
    for name in a b; do await "any(.[]; .in_force and (.measurements | index(\"$1\")))" $name workers list; done
}
register "$(printf '0%.0s' {1..64})"
await '.[0].enclaves.why | contains("workers register --name NAME '"$own"'")' gpu2 status
code=0
"$PERIGEE" run request --data lab --workflow "$workflow" --wait >out 2>err || code=$?
[[ $code -eq 5 ]] && grep -q '^not over ' out || fail "a refused run is said to be over: exit $code: $(cat out err)"
run=$(sed -n 's/^requested run //p' err)
register "$own"
await '.[0].enclaves.why == null' gpu2 status
stop gpu2
start gpu2
await '.[0].state == "settled"' lab run show "$run"
register "$(printf '0%.0s' {1..64})"
await '.[0].enclaves.why != null' gpu1 status
refused 5 '' run request --data lab --workflow "$workflow" --wait
run=$(sed -n 's/^requested run //p' err)
"$PERIGEE" revoke --data b --workflow "$workflow" >/dev/null
await ".[0].over" lab run show "$run"
await '.[0].waits_for | startswith("nothing: ")' lab run why "$run"
missing data b-org "${plan[@]}"
jq -e 'all(.conditions[] | select(.what == "data" and .who == "a-org"); .ok) and any(.conditions[]; .reason == "revoked")' said >/dev/null ||
    fail "another than the one that revoked is named, or not why: $(cat said)"
# Last, a requester that has lost its store: its key signs no request.
stop lab
mv lab/store lab/store.lost
start lab
await '.[0].node != null' lab status
await '.[0].compose' lab workflow status "$workflow" # its peers have told it
missing "this node signs" lab-org "${plan[@]}"
echo "ok: what is missing is said, before a run and of one"
