#!/usr/bin/env bash
# Disks that are lost or put back, on real nodes: a restored key signs nothing again; its successor, admitted by the stewards,
# holds its dataset, seals and approves, and a run over it settles, without a vote of either. A data directory put back whole is
# noticed by what the others hold, and nobody ever sees two records in one place.
set -euo pipefail
founders="a b c"
source "$(dirname "$0")/../consortium.sh"

# settled REQUESTER RUN
settled() { await '.[0].state == "settled"' "$1" run show "$2"; }
silent() { await ".[0].silent.reason == \"$2\"" "$1" status; }
linked() { await ".[0].peers | map(select(.up)) | length >= $2" "$1" status; }
# Until it has heard from enough custodians a node that was started signs nothing.
later() {
    local code=75
    while [[ $code -eq 75 ]]; do
        code=0
        "$PERIGEE" "$@" >/dev/null 2>err || code=$?
    done
    [[ $code -eq 0 ]] || fail "$*: $(cat err)"
}
approve() { "$PERIGEE" approve --data "$1" --asset "${dataset[$2]}" --workflow "$workflow" --slots "$3" --yes; }
approved_slots() { await "[.[0].approvals[] | select(.dataset == \"${dataset[$1]}\") | .ranges[]] | any(. == [$2])" lab workflow status "$workflow"; }

run=$(as lab run run request --workflow "$workflow")
settled lab "$run"

for name in a b; do "$PERIGEE" grant --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots 60 >/dev/null; done

# --- backed up, gone on, lost ------------------------------------------------------------------------------------------------
"$PERIGEE" backup --data a a.backup >out
grep -q 'IN CLEAR' out || fail "a backup of keys in clear does not say so: $(cat out)"
refused 1 'exists' backup --data a a.backup
approve a a 31-32 >/dev/null # the backup does not know of it
approved_slots a 31,32
stop a
rm -rf a
refused 1 'expected no such folder' restore --data b a.backup
cp a.backup bad.backup
printf 'x' | dd of=bad.backup bs=1 seek=5000 conv=notrunc status=none
refused 1 'was cut short or changed' restore --data a bad.backup
[[ ! -e a ]] || fail "a refused restore left something behind"
"$PERIGEE" restore --data a a.backup >/dev/null
start a
silent a store-restored
linked a 5
refused 1 'signs nothing again' approve --data a --asset "${dataset[a]}" --workflow "$workflow" --slots 33-34 --yes
refused 1 'signs nothing again' revoke --data a --all
code=0
"$PERIGEE" doctor --data a --store --json >out || code=$?
[[ $code -eq 1 && $(jq -r 'select(.finding == "fail").check' out | sort | tr '\n' ' ') == 'mark node silent ' ]] ||
    fail "doctor of a restored node: $(cat out)"
# It holds what was approved after the backup all the same.
await '.[0].allotments | length == 2' a budget --asset "${dataset[a]}"

# --- its successor -------------------------------------------------------------------------------------------------------------
init a2 a-org owner CH a b c lab gpu1 gpu2
for name in b c lab gpu1 gpu2; do echo "  - address: \"ipc://$tmp/a2.link\"" >>$name/perigee.yaml; done
refused 1 'belongs to no consortium yet' recover --data a2 --from a
"$PERIGEE" consortium join --data a2 charter.json >/dev/null
old=$(as a node status)
refused 1 'keys of its own' recover --data a2 --replaces "$(jq -r .node a2/card.json)"
refused 1 'its node runs and signs' recover --data a2 --from b # nothing is the matter with it
[[ ! -e a2/replaces ]] || fail "a refused recovery left something behind"
"$PERIGEE" init --data meant --organisation meant --jurisdiction CH --roles owner >/dev/null
"$PERIGEE" consortium join --data meant charter.json >/dev/null
"$PERIGEE" recover --data meant --from b --yes >/dev/null
# Of another organisation nobody is admitted in its place, whoever asks.
init stranger else-org owner CH b c
"$PERIGEE" consortium join --data stranger charter.json >/dev/null
"$PERIGEE" recover --data stranger --replaces "$old" >/dev/null
start stranger
linked stranger 2
"$PERIGEE" member request --data stranger >/dev/null
stranger=$(as stranger node status)
await "any(.[]; .node == \"$stranger\" and .replaces == \"$old\")" b member list
refused 1 'a-org; came one of else-org' member admit --data b "$stranger"
stop stranger
"$PERIGEE" recover --data a2 --from a --json >out
[[ $(jq -r '.replaces, .consents' out) == "$old"$'\n'true ]] || fail "recover: $(cat out)"
stop a # there is none to answer for it any more
start a2
linked a2 5
"$PERIGEE" member request --data a2 >/dev/null
new=$(as a2 node status)
for steward in b c; do
    await "any(.[]; .node == \"$new\" and .replaces == \"$old\" and .consents)" $steward member list
    "$PERIGEE" member admit --data $steward "$new" >out
    grep -q "in the place of $old" out || fail "admit does not say whose place it takes: $(cat out)"
    [[ $steward == c ]] || refused 1 "it has signed this, with 1 of 2" member admit --data $steward "$new"
done
for name in a2 b lab gpu1; do await "any(.[]; .dt == \"${dataset[a]}\" and .holder == \"$new\" and .owner == \"$old\")" $name asset list; done
await "all(.[]; .node != \"$old\")" lab member list
# Nor in the place of a key that is no member any more.
start stranger
linked stranger 2
"$PERIGEE" member request --data stranger >/dev/null
await "any(.[]; .node == \"$stranger\")" b member list
refused 1 'a-org; came one of else-org' member admit --data b "$stranger"
stop stranger

for name in a2 b lab gpu1; do "$PERIGEE" doctor --data $name --store >out || fail "doctor of $name: $(cat out)"; done
grep -q '^ok    rows .* 0 defects, 0 holes' out || fail "doctor: $(cat out)"

# Started all the same, the old key is told what has become of it, and waits for nothing.
start a
await ".[0].replaced | .by == \"$new\" and (.record | length == 64)" a status
"$PERIGEE" status --data a >out
grep -q "^replaced .*this key is to be replaced by $new (record .* which this one may not be told" out || fail "a person is not told: $(cat out)"
! grep -q '^waits for' out || fail "it waits for an admission that never comes: $(cat out)"
curl -sS --unix-socket a/api.sock http://node/healthz >out
jq -e --arg new "$new" 'any(.parts[]; .part == "standing" and (.good | not) and (.detail | contains("replaced by " + $new)))' out >/dev/null ||
    fail "healthz does not say it: $(cat out)"
for _ in $(seq 600); do ! grep -q 'event=member.replaced' a.log || break; sleep 0.05; done
grep 'event=member.replaced' a.log | grep -q "$new" || fail "the log does not say it: $(cat a.log)"
stop a

# --- which seals, approves, and is debited for what was spent before -------------------------------------------------------------
await '.[0].allotted == "32"' a2 budget --asset "${dataset[a]}"
refused 1 'overlap' approve --data a2 --asset "${dataset[a]}" --workflow "$workflow" --slots 31-32 --yes
refused 1 'the allotments of a dataset' approve --data a2 --asset "${dataset[a]}" --workflow "$workflow" --slots 40-70 --yes
refused 1 'waits for that owner' run request --data lab --workflow "$workflow"
"$PERIGEE" seal --data a2 --asset "${dataset[a]}" --in a.csv --workflow "$workflow" >/dev/null
approve a2 a 33-34 >/dev/null
approve b b 33-34 >/dev/null
approved_slots a 33,34
approved_slots b 33,34
run=$(as lab run run request --workflow "$workflow")
settled lab "$run"
"$PERIGEE" run receipt --data lab "$run" --out receipt.json >/dev/null
"$PERIGEE" verify receipt.json --consortium "$(as lab consortium status)" >out || fail "the receipt: $(cat out)"
# By the seats of b and c alone: a seat passes to nobody.
"$PERIGEE" status --data a2 --json | jq -e '.roles == ["owner"]' >/dev/null || fail "a2 has a seat"
"$PERIGEE" revoke --data a2 --asset "${dataset[a]}" >/dev/null
await "[.[0].approvals[] | select(.dataset == \"${dataset[a]}\")][0].state == \"revoked\"" lab workflow status "$workflow"

# --- a whole data directory put back -----------------------------------------------------------------------------------------------
stop b
cp -r b b.copy
start b
linked b 4
later approve --data b --asset "${dataset[b]}" --workflow "$workflow" --slots 50-50 --yes
approved_slots b 50,50
stop b
rm -rf b
mv b.copy b
start b
# At once, before any link: nothing is signed that the others may have seen another of.
code=0
approve b b 51-51 >out 2>err || code=$?
[[ $code -ne 0 ]] || fail "a node that was put back signed: $(cat out)"
silent b signed-elsewhere
refused 1 'signs nothing again' approve --data b --asset "${dataset[b]}" --workflow "$workflow" --slots 51-51 --yes
stop b
"$PERIGEE" doctor --data b --json >out || true
jq -es 'any(.[]; .check == "mark" and .finding == "ok") and any(.[]; .check == "silent" and .finding == "fail")' out >/dev/null ||
    fail "doctor of a directory put back whole: $(cat out)"
start b
silent b signed-elsewhere # for good
! grep -l equivocation ./*.log || fail "two records in one place were seen"

# --- the store alone put back --------------------------------------------------------------------------------------------------------
stop lab
cp -r lab/store lab.store
start lab
linked lab 3
later job post --data lab --workflow "$workflow" --task again
stop lab
rm -rf lab/store
mv lab.store lab/store
start lab
silent lab store-restored
