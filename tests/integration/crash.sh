#!/usr/bin/env bash
# kill -9 of any node at any moment, while runs are asked for and records written: nobody forks itself, nothing acknowledged is
# lost, every run settles once or says why not. PERIGEE_ROUNDS=50: more of it; PERIGEE_SEED=7: other moments.
set -euo pipefail
source "$(dirname "$0")/../consortium.sh"

RANDOM=${PERIGEE_SEED:-1}
rounds=${PERIGEE_ROUNDS:-8}
names=(a b lab gpu1 gpu2)
said=()
runs=()
killed=0
declare -A writer
for round in $(seq "$rounds"); do
    if [[ $round -le 28 ]]; then
        runs+=("$(as lab run run request --workflow "$workflow" --slot $round)") || fail "no run in slot $round"
    fi
    # What is acknowledged is known by its token; what is not may be lost.
    sed "s/a-cohort/a-$round/" a.yaml >more.a.yaml
    printf 'type: algorithm\nname: lab-%s\njurisdiction: CH\n' "$round" >more.lab.yaml
    for name in a lab; do
        "$PERIGEE" asset register --data $name --json more.$name.yaml >acknowledged.$name 2>/dev/null &
        writer[$name]=$!
    done
    victim=${names[$((RANDOM % 5))]}
    sleep "$(printf "0.%03d" $((RANDOM % 1000)))"
    kill -9 "${node[$victim]}"
    killed=$((killed + 1))
    for name in a lab; do
        wait "${writer[$name]}" 2>/dev/null && said+=("$(jq -r .dt acknowledged.$name)")
    done
    wait "${node[$victim]}" 2>/dev/null || true
    start "$victim"
    await '.[0] | .member and (.isolated | not)' "$victim" status
done
for run in "${runs[@]}"; do await '.[0].state == "settled"' lab run show "$run"; done
for name in "${names[@]}"; do
    for dt in "${said[@]}"; do await "any(.[]; .dt == \"$dt\")" $name asset list; done
done
records=$(as a records status)
for name in "${names[@]}"; do await ".[0].records == $records" $name status; done
if grep -l equivocation ./*.log; then fail "a node signed two records in one place"; fi
[[ ${#said[@]} -ge $rounds ]] || fail "only ${#said[@]} writes of $((2 * rounds)) were acknowledged: nothing was tested"
for name in "${!node[@]}"; do stop "$name"; done
echo "$killed nodes killed, ${#runs[@]} runs settled, ${#said[@]} acknowledged records held by all"
echo passed
