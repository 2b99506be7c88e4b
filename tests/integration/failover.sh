#!/usr/bin/env bash
# The elected node or its enclave is killed or stopped at work, by real signals to real processes: each run settles once, in a
# later term, by whoever is left. Two owners, two compute providers, leases of a second.
set -euo pipefail
: "${PERIGEE:?the program}"
[[ -e ${PERIGEE_DUCKDB:-} ]] || { echo "SKIPPED: no libduckdb.so at ${PERIGEE_DUCKDB:-PERIGEE_DUCKDB}"; exit 77; }
tmp=$(mktemp -d /tmp/perigee-failover.XXXXXX)
declare -A node
stop_all() {
    for name in "${!node[@]}"; do kill -CONT "${node[$name]}" 2>/dev/null || true; kill "${node[$name]}" 2>/dev/null || true; done
    wait
    rm -rf "$tmp"
}
trap stop_all EXIT
cd "$tmp"
fail() {
    echo "FAILED: $*" >&2
    tail -n 8 ./*.log >&2 || true
    exit 1
}
start() { "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 & node[$1]=$!; }
# await FILTER NODE COMMAND...: until its --json makes the filter true.
await() {
    local filter=$1 data=$2
    shift 2
    for _ in $(seq 1200); do
        "$PERIGEE" "$@" --data "$data" --json 2>/dev/null | jq -es "$filter" >/dev/null && return
        sleep 0.02
    done
    fail "$data: $* never met $filter: $("$PERIGEE" "$@" --data "$data" --json 2>&1)"
}
as() {
    local data=$1 member=$2
    shift 2
    "$PERIGEE" "$@" --data "$data" --json | jq -r ".$member"
}

# --- a consortium with an approved recipe -----------------------------------------------------------------------------------
for who in "a owner,custodian,steward" "b owner,custodian,steward" "lab algorithm,requester" "gpu1 compute" "gpu2 compute"; do
    read -r name roles <<<"$who"
    "$PERIGEE" init --data "$name" --organisation "$name-org" --jurisdiction CH --roles "$roles" \
        --listen "ipc://$tmp/$name.link" >/dev/null
    echo "peers:" >>"$name/perigee.yaml"
    for peer in a b lab gpu1 gpu2; do
        [[ $peer == "$name" ]] || echo "  - address: \"ipc://$tmp/$peer.link\"" >>"$name/perigee.yaml"
    done
done
"$PERIGEE" consortium new --name failover --lease-ms 1000 --out charter.json a/card.json b/card.json >/dev/null
for name in a b lab gpu1 gpu2; do "$PERIGEE" consortium join --data $name charter.json >/dev/null; start $name; done
for name in a b; do await '.[0].peers | map(select(.up)) | length == 4' $name status; done
for name in a b; do "$PERIGEE" consortium sign --data $name >/dev/null; done
for name in a b; do await '.[0].charter.decided' $name status; done
"$PERIGEE" consortium keygen --data a >/dev/null
for name in a b; do await '.[0].committee != null' $name status; done
for name in lab gpu1 gpu2; do
    "$PERIGEE" member request --data $name >/dev/null
    id=$(as $name node status)
    for steward in a b; do
        await "any(.[]; .node == \"$id\")" $steward member list
        "$PERIGEE" member admit --data $steward "$id" >/dev/null
    done
    await '.[0].member' $name status
done
for name in a b; do
    "$PERIGEE" op register --data $name --template table >/dev/null
    "$PERIGEE" workers register --data $name --name default "$("$PERIGEE" workers measure)" >/dev/null
done
await '.[0].registered' lab op list
op=$(as lab op op list)
declare -A dataset
for name in a b; do
    { echo id,sex,age; for i in $(seq 40); do echo "$name$i,$([[ $((i % 2)) -eq 0 ]] && echo f || echo m),$((40 + i))"; done; } >$name.csv
    cat >$name.yaml <<YAML
type: dataset
name: $name-cohort
jurisdiction: CH
services: [{ type: aggregate, supported_ops: ["$op"] }]
dataset:
  row_count: 40
  unit_column: id
  budget: "60"
  schema: [{ name: id, type: text }, { name: sex, type: text }, { name: age, type: integer }]
YAML
    dataset[$name]=$(as $name dt asset register $name.yaml)
done
printf 'type: algorithm\nname: ages\njurisdiction: CH\n' >app.yaml
app=$(as lab dt asset register app.yaml)
for name in a b lab; do await 'length == 3' $name asset list; done
cat >workflow.yaml <<YAML
app_id: "$app"
name: ages
description: Mean age by sex
mode: enclave
engine: int-gate/1
inputs:
$(for name in a b; do "$PERIGEE" asset list --data lab --json | jq -r "select(.dt == \"${dataset[$name]}\") |
    \"  - { dt: \\\"\(.dt)\\\", name: $name, owner: \\\"\(.owner)\\\", schema: \\\"\(.schema)\\\" }\""; done)
output: { type: aggregate, max_bytes: 4096, readers: [] }
privacy: { currency: epsilon, delta: "0", epsilon: "1", mechanism: discrete-laplace, scope: per-owner, unit: id }
quorum: { owners: 2 }
requesters: ["$(as lab node status)"]
residency: { allow: [CH] }
attestation: { evidence: [simulated], gpu: none, workers: default }
steps:
  - op: "$op"
    runtime: select
    select: SELECT id, sex, age FROM input
    rows_per_unit: 1
    groups: [{ name: sex, domain: [f, m] }]
    statistics:
      - { name: people, kind: count, column: "", epsilon: "0.5" }
      - { name: age_sum, kind: sum, column: age, lower: "30", upper: "90", places: 0, epsilon: "0.5" }
    derived: [{ name: age_mean, numerator: age_sum, denominator: people }]
YAML
workflow=$(as lab compose workflow publish --app "$app" workflow.yaml)
for name in a b; do await '.[0].compose' $name workflow status "$workflow"; done
job=$(as lab record job post --workflow "$workflow" --task "mean age by sex")
for name in a b; do
    await "any(.[]; .job == \"$job\")" $name job list
    "$PERIGEE" job endorse --data $name "$job" >/dev/null
    "$PERIGEE" seal --data $name --asset "${dataset[$name]}" --in $name.csv --workflow "$workflow" >/dev/null
    "$PERIGEE" grant --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots 30 >/dev/null
    "$PERIGEE" approve --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots 1-30 --yes >/dev/null
done
await '.[0].approved == 2' lab workflow status "$workflow"
for name in gpu1 gpu2; do await '.[0].enclaves.max == 1 and (.[0].peers | map(select(.up)) | length == 4)' $name status; done

# --- blows -------------------------------------------------------------------------------------------------------------------
descendants() { local child; for child in $(pgrep -P "$1"); do echo "$child"; descendants "$child"; done; }
elected() { as lab organisation run show "$1" | sed 's/-org$//'; }
again() { wait "${node[$1]}" 2>/dev/null || true; start "$1"; }
kill_node() { kill -9 "${node[$1]}"; again "$1"; }
kill_enclave() { descendants "${node[$1]}" | xargs -r kill -9; }
# Longer than the lease; then it goes on with whatever came meanwhile, and gains nothing.
stop_node() { kill -STOP "${node[$1]}"; await '.[0].term >= 2 or .[0].state == "settled"' lab run show "$2"; kill -CONT "${node[$1]}"; }
stop_all_of_it() {
    local all; all="${node[$1]} $(descendants "${node[$1]}")"
    kill -STOP $all 2>/dev/null || true
    await '.[0].term >= 2 or .[0].state == "settled"' lab run show "$2"
    kill -CONT $all 2>/dev/null || true
}
slot=0
later=0
declare -A hit
for blow in kill_node kill_enclave stop_node stop_all_of_it; do
    for phase in elected attested computing; do
        slot=$((slot + 1))
        run=$(as lab run run request --workflow "$workflow" --slot $slot)
        await ".[0].state as \$s | [\"elected\", \"attested\", \"keyed\", \"computing\", \"committed\", \"settled\"] | index(\$s) as \$i |
            \$i != null and \$i >= index(\"$phase\")" lab run show "$run"
        state=$(as lab state run show "$run")
        hit[$state]=$((${hit[$state]:-0} + 1))
        $blow "$(elected "$run")" "$run"
        await '.[0].state == "settled" and .[0].output != null' lab run show "$run"
        [[ $(as lab term run show "$run") -eq 1 ]] || later=$((later + 1))
        [[ $("$PERIGEE" run list --data lab --json | jq -s "map(select(.slot == $slot and .receipt)) | length") -eq 1 ]] ||
            fail "slot $slot is not spent by exactly one run"
    done
done
"$PERIGEE" run receipt --data lab "$run" --out receipt.json >/dev/null
"$PERIGEE" verify receipt.json --consortium "$(sha256sum <charter.json | cut -d' ' -f1)" >/dev/null || fail "verify: exit $?"
[[ $later -gt 0 ]] || fail "no blow came in time: nothing was tested"
for name in "${!node[@]}"; do
    kill "${node[$name]}"
    wait "${node[$name]}" || fail "$name did not end in order"
    unset "node[$name]"
done
for state in "${!hit[@]}"; do echo "${hit[$state]} blows at $state"; done
echo "$later of $slot runs settled in a later term"
echo passed
