# For tests to source: a consortium of five real nodes with an approved recipe. Two owners, who are custodians and stewards (a, b),
# an algorithm provider that requests (lab), two compute providers (gpu1, gpu2); leases of a second, thirty slots. Leaves the
# shell in a directory of its own, the nodes running, their processes in node[NAME], and $workflow, $app, dataset[NAME]. With
# founders="a b NAME" set before, NAME is a custodian and steward too, so that two of three are enough: one of the five, or one more.
# slots=N: so many instead, and a budget of twice as much. charter_words: more words for `perigee consortium new`. requesters="lab a":
# who may ask for runs, of these five. sealer: a command that seals for `perigee seal`, which it is given.
source "$(dirname "${BASH_SOURCE[0]}")/nodes.sh"
need_duckdb
if declare -F before_init >/dev/null; then before_init; fi # a test's own, in that directory

# --- a consortium with an approved recipe -----------------------------------------------------------------------------------
founders=${founders:-a b}
slots=${slots:-30}
requesters=${requesters:-lab}
asks() { [[ " $requesters " == *" $1 "* ]] && echo ,requester || true; }
seats() { [[ " $founders " == *" $1 "* ]] && echo ,custodian,steward || true; }
names="a b lab gpu1 gpu2"
for name in $founders; do [[ " $names " == *" $name "* ]] || names+=" $name"; done
roles_of() { case $1 in lab) echo algorithm ;; gpu?) echo compute ;; *) echo owner ;; esac; }
for name in $names; do init "$name" "$name-org" "$(roles_of "$name")$(asks "$name")$(seats "$name")" CH $names; done
"$PERIGEE" consortium new --name study --k 2 --lease-ms 1000 ${charter_words:-} --out charter.json $(printf '%s/card.json ' $founders) >/dev/null
for name in $names; do "$PERIGEE" consortium join --data $name charter.json >/dev/null; start $name; done
all=$(($(wc -w <<<"$names") - 1)) # not of node[], where a test may keep more than nodes
for name in $founders; do await ".[0].peers | map(select(.up)) | length == $all" $name status; done
for name in $founders; do "$PERIGEE" consortium sign --data $name >/dev/null; done
for name in $founders; do await '.[0].charter.decided' $name status; done
"$PERIGEE" consortium keygen --data a >/dev/null
for name in $founders; do await '.[0].committee != null' $name status; done
for name in lab gpu1 gpu2; do
    [[ -z $(seats $name) ]] || continue
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
# The id of an owner's row; a test may say another before it sources this.
declare -F id_of_row >/dev/null || id_of_row() { echo "$1$2"; }
# And how many there are, and the rows.
declare -F row_count_of >/dev/null || row_count_of() { echo 40; }
declare -F rows_of >/dev/null || rows_of() {
    for i in $(seq 40); do echo "$(id_of_row $1 "$i"),$([[ $((i % 2)) -eq 0 ]] && echo f || echo m),$((40 + i))"; done
}
# What is sealed of an owner; a test may make another. unit="": a row is a unit.
declare -F make_table >/dev/null || make_table() { { echo id,sex,age; rows_of $1; } >$1.csv; }
declare -F table_of >/dev/null || table_of() { echo $1.csv; }
unit=${unit-id}
for name in a b; do
    make_table $name
    cat >$name.yaml <<YAML
type: dataset
name: $name-cohort
jurisdiction: CH
services: [{ type: aggregate, supported_ops: ["$op"] }]
dataset:
  row_count: $(row_count_of $name)
  unit_column: "$unit"
  budget: "$((2 * slots))"
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
privacy: { currency: epsilon, delta: "0", epsilon: "1", mechanism: discrete-laplace, scope: per-owner, unit: "$unit" }
quorum: { owners: 2 }
requesters: [$(for name in $requesters; do echo "\"$(as $name node status)\","; done)]
residency: { allow: [CH] }
attestation: { evidence: [simulated], gpu: none, workers: default }
steps:
  - op: "$op"
    runtime: select
    select: SELECT ${unit:+$unit, }sex, age FROM input
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
    ${sealer:-} "$PERIGEE" seal --data $name --asset "${dataset[$name]}" --in "$(table_of $name)" --workflow "$workflow" >/dev/null
    "$PERIGEE" grant --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots "$slots" >/dev/null
    if declare -F approve_as >/dev/null; then approve_as $name; continue; fi # a test's own way
    "$PERIGEE" approve --data $name --asset "${dataset[$name]}" --workflow "$workflow" --slots "1-$slots" --yes >/dev/null
done
await '.[0].approved == 2' lab workflow status "$workflow"
for name in gpu1 gpu2; do await '.[0].enclaves.max == 1 and (.[0].peers | map(select(.up)) | length == '"$all)" $name status; done

