#!/usr/bin/env bash
# README.md "By hand", command by command: two owners, an algorithm provider and a compute provider, each a node of its own.
# On the way, what a person gets wrong is refused with what was expected, and leaves nothing behind.
set -euo pipefail
source "$(dirname "$0")/../nodes.sh"
need_duckdb

# --- everyone; one founder ------------------------------------------------------------------------------------------------
for who in "a owner,custodian,steward CH" "b owner,custodian,steward EU" "lab algorithm,requester EU" "gpu compute CH"; do
    read -r name roles place <<<"$who"
    init "$name" "$name-org" "$roles" "$place" a b lab gpu
done
refused 1 "exists already" init --data a --organisation a-org --jurisdiction CH --roles owner
refused 1 "a/card.json: the same node as in a/card.json" consortium new --name study --out charter.json a/card.json b/card.json a/card.json
"$PERIGEE" consortium new --name study --out charter.json a/card.json b/card.json >/dev/null
refused 1 "consortium join" node --data a
for name in a b lab gpu; do "$PERIGEE" consortium join --data $name charter.json >/dev/null; done
cp a/perigee.yaml kept.yaml
echo "listne: x" >>a/perigee.yaml
refused 1 "did you mean listen?; expected one of listen, announce, peers" node --data a
mv kept.yaml a/perigee.yaml
for name in a b lab; do start $name; done
for name in a b lab; do await '.[0].peers | map(select(.up)) | length == 2' $name status; done

# --- founders; others ask, stewards admit ---------------------------------------------------------------------------------
for name in a b; do "$PERIGEE" consortium sign --data $name >/dev/null; done
for name in a b; do await '.[0].charter.decided' $name status; done
"$PERIGEE" consortium keygen --data a >/dev/null
for name in a b; do await '.[0].committee != null' $name status; done
"$PERIGEE" consortium keygen --data b | grep -q "both keys exist already" || fail "keygen again does not say so"

# A node that cannot put up its enclaves' walls is a member all the same, and says why it offers none.
PERIGEE_BWRAP=/nonexistent start gpu
await '.[0].enclaves | .max == 0 and (.why | contains("PERIGEE_BWRAP"))' gpu status
for name in lab gpu; do
    "$PERIGEE" member request --data $name >/dev/null
    id=$(as $name node status)
    for steward in a b; do
        await "any(.[]; .node == \"$id\")" $steward member list
        "$PERIGEE" member admit --data $steward "$id" >/dev/null
    done
    await '.[0].member' $name status
done
stop gpu
await '.[0].peers | any(.organisation == "gpu-org" and (.up | not))' lab status

# --- stewards: what may compute -------------------------------------------------------------------------------------------
measurement=$("$PERIGEE" workers measure)
refused 1 "not-a-steward" workers register --data lab --name default "$measurement"
refused 1 'to be 1 to 64 characters of a-z' workers register --data a --name $'de\nfault' "$measurement"
for name in a b; do
    "$PERIGEE" op register --data $name --template table >/dev/null
    "$PERIGEE" workers register --data $name --name default "$measurement" >/dev/null
done
await '.[0].registered' lab op list
op=$(as lab op op list)
[[ $("$PERIGEE" op list --data lab) == OP$'\t'NAME$'\t'CODE*$'\n'"$op"* ]] || fail "a list says what its columns are, in a pipe, too"

# --- owners describe; the provider publishes and posts -----------------------------------------------------------------------
declare -A dataset
for name in a b; do
    { echo id,sex,age; for i in $(seq 40); do echo "$name$i,$([[ $((i % 2)) -eq 0 ]] && echo f || echo m),$((40 + i))"; done; } >$name.csv
    cat >$name.yaml <<YAML
type: dataset
name: $name-cohort
jurisdiction: $([[ $name == a ]] && echo CH || echo EU)
services: [{ type: aggregate, supported_ops: ["$op"] }]
dataset:
  row_count: 40
  unit_column: id
  budget: "6"
  schema:
    - { name: id, type: text }
    - { name: sex, type: text }
    - { name: age, type: integer }
YAML
    dataset[$name]=$(as $name dt asset register $name.yaml)
done
printf 'type: algorithm\nname: ages\njurisdiction: EU\n' >app.yaml
app=$(as lab dt asset register app.yaml)
await 'length == 3' lab asset list
for name in a b; do await 'length == 3' $name asset list; done
{
    cat <<YAML
app_id: "$app"
name: ages
description: Mean age by sex
mode: enclave
engine: int-gate/1
inputs:
YAML
    for name in a b; do
        "$PERIGEE" asset list --data lab --json | jq -r "select(.dt == \"${dataset[$name]}\") |
            \"  - { dt: \\\"\(.dt)\\\", name: $name, owner: \\\"\(.owner)\\\", schema: \\\"\(.schema)\\\" }\""
    done
    cat <<YAML
output: { type: aggregate, max_bytes: 4096, readers: [] }
privacy: { currency: epsilon, delta: "0", epsilon: "1.5", mechanism: discrete-laplace, scope: per-owner, unit: id }
quorum: { owners: 2 }
requesters: ["$(as lab node status)"]
residency: { allow: [CH, EU] }
attestation: { evidence: [simulated], gpu: none, workers: default }
steps:
  - op: "$op"
    runtime: select
    select: SELECT id, sex, age FROM input
    rows_per_unit: 1
    groups: [{ name: sex, domain: [f, m] }]
    statistics:
      - { name: people, kind: count, column: "", epsilon: "0.5" }
      - { name: age_sum, kind: sum, column: age, lower: "30", upper: "90", places: 0, epsilon: "1" }
    derived: [{ name: age_mean, numerator: age_sum, denominator: people }]
YAML
} >workflow.yaml
for name in a b; do refused 1 "owned by lab-org" workflow publish --data $name --app "$app" workflow.yaml; done
# What is not checked is not taken; a provider without DuckDB may leave the checking to the owners.
PERIGEE_DUCKDB=/nonexistent refused 1 "libduckdb.so" workflow publish --data lab --app "$app" workflow.yaml
workflow=$(PERIGEE_DUCKDB=/nonexistent as lab compose workflow publish --unchecked --app "$app" workflow.yaml)
for name in a b; do await '.[0].compose' $name workflow status "$workflow"; done
job=$(as lab record job post --workflow "$workflow" --task "mean age by sex")
for name in a b; do
    await "any(.[]; .job == \"$job\")" $name job list
    "$PERIGEE" job endorse --data $name "$job" >/dev/null
done

# --- owners: seal, grant, approve -----------------------------------------------------------------------------------------
touch taken.tar
refused 1 "exists already" seal --data a --asset "${dataset[a]}" --in a.csv --workflow "$workflow" --tar taken.tar
refused 1 "no such file or folder" seal --data a --asset "${dataset[a]}" --in a.csv --workflow "$workflow" --tar none/a.tar
refused 1 "No such file" seal --data a --asset "${dataset[a]}" --in none.csv --workflow "$workflow"
refused 1 "another member's" seal --data b --asset "${dataset[a]}" --in a.csv --workflow "$workflow"
for name in a b; do [[ $(as $name store.blobs status) -eq 0 ]] || fail "a refused sealing left blobs behind"; done
# A node that refuses the binding: another owner's answers on the socket beside a's keys and store.
mkdir -m 700 elsewhere
ln -s ../a/store ../a/{version,card.json,charter.json,perigee.yaml,keygen} elsewhere
cp -p a/*.key elsewhere
ln -s ../b/api.sock elsewhere/api.sock
refused 1 "it is sealed: \`perigee asset bind --data elsewhere" seal --data elsewhere --asset "${dataset[a]}" --in a.csv \
    --workflow "$workflow"
manifest=$(grep -oE -- '--manifest [0-9a-f]{64}' err | cut -d' ' -f2)
refused 1 "was sealed for" asset bind --data a --asset "${dataset[b]}" --workflow "$workflow" --manifest "$manifest"
refused 1 "this one is neither" asset bind --data b --asset "${dataset[a]}" --workflow "$workflow" --manifest "$manifest"
"$PERIGEE" asset bind --data a --asset "${dataset[a]}" --workflow "$workflow" --manifest "$manifest" >/dev/null ||
    fail "what was sealed is not bound"
"$PERIGEE" seal --data b --asset "${dataset[b]}" --in b.csv --workflow "$workflow" --tar b.tar >/dev/null
[[ -s b.tar ]] || fail "no tar"
refused 3 "--slots" grant --data a --asset "${dataset[a]}" --workflow "$workflow"
refused 3 "--to" grant --data a --asset "${dataset[a]}" --slots 3
refused 3 "--epsilon" grant --data a --asset "${dataset[a]}" --slots 3 --to "$app" --op "$op"
sed -e /^services/d -e 's/^name: a-/name: bare-/' a.yaml >bare.yaml
refused 1 "supported_ops" grant --data a --asset "$(as a dt asset register bare.yaml)" --workflow "$workflow" --slots 3
for name in a b; do
    "$PERIGEE" grant --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots 3 --json |
        jq -e ".ops == [\"$op\"] and .slots_max == 3 and .epsilon_max == \"1.5\" and .higher == \"$app\"" >/dev/null ||
        fail "a grant does not say what it granted"
    PERIGEE_DUCKDB=/nonexistent refused 1 "libduckdb.so" approve --data $name --asset "${dataset[$name]}" \
        --workflow "$workflow" --yes
    # Who says no slot approves one run more, in which owners meet.
    if [[ $name == a ]]; then
        "$PERIGEE" approve --data a --asset "${dataset[a]}" --workflow "$workflow" --slots 1-2 --yes >/dev/null
    else
        await '.[0].approvals | any(.ranges // [] | any(.[1] == 3))' b workflow show "$workflow"
    fi
    for slot in $([[ $name == a ]] && echo 3 || echo 1 2 3); do
        "$PERIGEE" approve --data $name --asset "${dataset[$name]}" --workflow "$workflow" --yes >out
        grep -q "^  Slots $slot to $slot\.$" out || fail "$name is not told which slot it is: $(cat out)"
        grep -q "^approved for slots $slot-$slot," out || fail "$name has not approved slot $slot: $(cat out)"
    done
done
# Fewer than are allotted already, for another recipe perhaps: it is said, and can be put right.
"$PERIGEE" grant --data a --asset "${dataset[a]}" --workflow "$workflow" --slots 2 >out 2>err
grep -q '^before   3 slots, epsilon 1.5 a run$' out || fail "it does not say what it replaces: $(cat out)"
grep -q 'allot 3 slots already, and 2 are granted now' err || fail "it does not say what it takes: $(cat err)"
"$PERIGEE" grant --data a --asset "${dataset[a]}" --workflow "$workflow" --slots 3 >out 2>err
[[ ! -s err ]] || fail "it warns of nothing: $(cat err)"
await '.[0].approved == 2 and (.[0].approvals | all(.granted_slots == 3 and .granted_epsilon == "1.5"))' lab \
    workflow status "$workflow"
await '.[0].job.endorsements == 2' lab workflow status "$workflow"

# --- a requester: first with nobody to compute, then with somebody ----------------------------------------------------------
for name in a b; do await 'map(select(.type == "dataset" and .version == 2)) | length == 2' lab asset list; done
"$PERIGEE" run request --data lab --workflow "$workflow" --slot 1 --wait >out 2>err &
waiting=$!
await '.[0] | .state == "requested" and (.waits_for | contains("gpu-org"))' lab run list
run=$(as lab run run list)
kill -9 "${node[lab]}"
code=0
wait $waiting || code=$?
wait "${node[lab]}" || true
[[ $code -eq 2 ]] || fail "its node was killed: exit $code: $(cat out err)"
grep -q "it was requested, run $run" err || fail "which run it asked for is not said: $(cat err)"
start lab
start gpu
await '.[0].enclaves | .max == 1 and .why == null' gpu status
await '.[0].peers | map(select(.up)) | length == 3' gpu status
run=$(as lab run run request --workflow "$workflow" --slot 2)
"$PERIGEE" run show --data lab "$run" >/dev/null
await '.[0].state == "settled" and .[0].output != null' lab run show "$run"
"$PERIGEE" run receipt --data lab "$run" --out receipt.json >/dev/null
echo mine >taken
refused 1 "taken: exists already" run receipt --data lab "$run" --out taken
refused 1 "taken: exists already" op code --data lab "$op" --out taken
[[ $(cat taken) == mine ]] || fail "taken was written over"

# --- an owner looks at what it has promised, and takes it back ----------------------------------------------------------------
await '.[0] | .allotted != "0" and (.allotments[0].runs | any(.receipt and .slot == 2))' a budget --asset "${dataset[a]}"
"$PERIGEE" budget --data a --asset "${dataset[a]}" | grep -q "spent, with a receipt" || fail "budget does not show the run"
refused 1 "came another token" budget --data a --asset "$app"
refused 3 "exactly one of" revoke --data a --all --asset "${dataset[a]}"
refused 3 "exactly one of" revoke --data a
refused 1 "a dataset of this owner" revoke --data a --asset "${dataset[b]}"
refused 1 "an approval of this owner" revoke --data a --approval "$workflow"
allotted=$(as a allotted budget --asset "${dataset[a]}")
"$PERIGEE" revoke --data a --workflow "$workflow" >out || fail "revoke: exit $?: $(cat out)"
grep -q "^Final, unless" out || fail "revoke does not say that it is final: $(cat out)"
for name in a-org b-org; do grep -q "$name *has it" out || fail "revoke does not name $name"; done
await '.[0].approvals | any(.state == "revoked")' lab workflow status "$workflow"
refused 1 "revoked" run request --data lab --workflow "$workflow" --slot 3
await '.[0].allotments[0].state == "revoked"' a budget --asset "${dataset[a]}"
[[ $(as a allotted budget --asset "${dataset[a]}") == "$allotted" ]] || fail "a revocation gives budget back"
# What was allotted stays so: the next approval is for the slot behind.
"$PERIGEE" grant --data a --asset "${dataset[a]}" --workflow "$workflow" --slots 4 >/dev/null
"$PERIGEE" approve --data a --asset "${dataset[a]}" --workflow "$workflow" --yes >out || fail "approve: $(cat out)"
grep -q "^approved for slots 4-4," out || fail "a has not approved slot 4: $(cat out)"
for name in "${!node[@]}"; do stop "$name"; done

# --- anyone, offline ---------------------------------------------------------------------------------------------------------
"$PERIGEE" verify receipt.json --consortium "$(sha256sum <charter.json | cut -d' ' -f1)" >/dev/null || fail "verify: exit $?"
refused 2 "no node answers" status --data a
echo "perigee-data 9" >a/version
refused 1 'got "perigee-data 9"' node --data a
chmod 644 b/kem.key
refused 1 "mode 0644: chmod 600" node --data b
echo passed
