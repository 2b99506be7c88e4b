#!/usr/bin/env bash
# A day's work compressed, in hours of some runs: five nodes and a maker run a recipe, register assets, grant them, post jobs and endorse
# them, take approvals back; in each hour a member and a device join and leave, and a node is stopped and started. In the end every
# run is settled or refused with a reason, budgets add up, every store is consistent and all hold the same, and no node needs more
# memory than one that was started just now. PERIGEE_HOURS=10 PERIGEE_RUNS=2000 PERIGEE_RECORDS=100000: a whole day.
set -euo pipefail
runs=${PERIGEE_RUNS:-20} records=${PERIGEE_RECORDS:-600} hours=${PERIGEE_HOURS:-4}
per=$(((runs + hours - 1) / hours))
slots=$((hours * (per + 1))) # one in each hour is taken back
charter_words="--maker-devices 2"
# Slots of hour $2, as its owner allots them: a few at a time, and one that is never used.
first_slot() { echo $((($1 - 1) * (per + 1) + 1)); }
last_slot() { echo $(($1 * (per + 1))); }
approve() { as "$1" record approve --asset "${dataset[$1]}" --workflow "$workflow" --slots "$2-$3" --yes; }
approve_hour() {
    local name=$1 at last
    last=$(last_slot "$2")
    for ((at = $(first_slot "$2"); at < last; at += 10)); do
        approve "$name" "$at" $((at + 9 < last ? at + 9 : last - 1)) >/dev/null
    done
    approve "$name" "$last" "$last" >"spare.$name"
}
approve_as() { approve_hour "$1" 1; }
day=${PERIGEE_BUILD_DIR:?}/tests/day
source "$(dirname "$0")/../consortium.sh"

members="a b lab gpu1 gpu2"
type_of() { case $1 in lab) echo algorithm ;; gpu?) echo compute ;; *) echo dataset ;; esac; }
metric() { curl -sS --unix-socket "$1/api.sock" http://node/metrics | awk -v name="$2" 'index($1, name) == 1 { sum += $2 } END { print sum + 0 }'; }
open_runs() {
    curl -sS --unix-socket lab/api.sock http://node/metrics |
        awk '/^perigee_runs/ && !/"(settled|refused|failed|revoked|expired)"/ { sum += $2 } END { print sum + 0 }'
}
# What nobody else has of it: the store is mapped, and shared.
private_kib() { awk '/^Private_/ { sum += $2 } END { print sum }' "/proc/${node[$1]}/smaps_rollup"; }
now_ms() { date +%s%3N; }
# Of a node's own threads, whatever else this machine does.
cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print int(($12 + $13) * 1000 / hz) }' "/proc/${node[$1]}/stat"; }

# --- who comes and goes ---------------------------------------------------------------------------------------------------------
id_of() { as "$1" node status; }
join_by() {
    local name=$1 id by
    shift
    "$PERIGEE" consortium join --data "$name" charter.json >/dev/null
    start "$name"
    await '(.[0].peers // []) | map(select(.up)) | length >= 2' "$name" status
    "$PERIGEE" member request --data "$name" >/dev/null
    id=$(id_of "$name")
    for by; do
        await "any(.[]; .node == \"$id\")" "$by" member list
        "$PERIGEE" member admit --data "$by" "$id" >/dev/null
    done
    await '.[0].member' "$name" status
}
leave_by() {
    local name=$1 id by
    shift
    id=$(id_of "$name")
    for by; do "$PERIGEE" member remove --data "$by" "$id" >/dev/null; done
    await '.[0].member | not' "$name" status
    stop "$name"
}
come_and_go() {
    init "visitor$1" visitor-org compute CH a b
    init "device$1" maker-org device CH a b maker
    join_by "visitor$1" a b
    join_by "device$1" maker
    "$day" assets "visitor$1" compute 1 1 "$app" "$op" "visitor$1" >>answers
    leave_by "visitor$1" a b
    leave_by "device$1" maker
}

# --- an hour --------------------------------------------------------------------------------------------------------------------
# No more than ten runs at once, as requesters who wait for their results would.
request_runs() {
    local slot last waited=0
    last=$(last_slot "$1")
    for ((slot = $(first_slot "$1"); slot < last; slot++)); do
        until [[ $(open_runs) -lt 10 ]]; do
            waited=$((waited + 1))
            [[ $waited -lt 3000 ]] || return 1
            sleep 0.1
        done
        waited=0
        echo "/v1/runs {\"compose\": \"$workflow\", \"slot\": $slot}" | "$day" post lab
    done
    # Once more, where it was just asked for, and where an owner took it back.
    echo "/v1/runs {\"compose\": \"$workflow\", \"slot\": $((last - 1))}" | "$day" post lab
    echo "/v1/runs {\"compose\": \"$workflow\", \"slot\": $last}" | "$day" post lab
}
post_jobs() {
    local i name
    for ((i = 0; i < jobs; i++)); do echo "/v1/jobs {\"compose\": \"$workflow\", \"task\": \"hour $1, $i\"}"; done |
        "$day" post lab >jobs
    cat jobs >>answers
    for name in a b; do
        local last; last=$(awk '$1 == "ok" { id = $2 } END { print id }' jobs)
        await "any(.[]; .job == \"$last\")" $name job list
        awk '$1 == "ok" { print "/v1/jobs/" $2 "/endorse {}" }' jobs | "$day" post $name >>answers
    done
}
# Each asset is granted twice, all is taken back of every fourth; what is left to write is shared out evenly over members and hours.
write_hour() {
    local left name each
    left=$((records - $(as a records status) - 2 * (hours - $1 + 1) * per))
    each=$((left > 0 ? 4 * left / (hours - $1 + 1) / 65 + 1 : 1))
    local writers=()
    for name in $members; do
        "$day" assets $name "$(type_of $name)" $each 2 "$app" "$op" "$name-$1" >"answers.$name" &
        writers+=($!)
    done
    for name in "${writers[@]}"; do wait "$name" || fail "a node gave no answer"; done
    for name in $members; do cat "answers.$name" >>answers; done
}
hour() {
    local began records_before cpu_before; began=$(now_ms) records_before=$(as a records status) cpu_before=$(cpu_ms lab)
    [[ $1 -eq 1 ]] || for name in a b; do approve_hour $name "$1"; done
    "$PERIGEE" revoke --data a --approval "$(cat spare.a)" >/dev/null
    request_runs "$1" >runs.asked || fail "runs stand still: $(metric lab perigee_runs) known, $(open_runs) open" &
    local asking=$!
    write_hour "$1"
    post_jobs "$1"
    come_and_go "$1"
    local name; name=$(echo a gpu1 b gpu2 | cut -d' ' -f$((1 + $1 % 4)))
    stop "$name"
    start "$name"
    await '.[0].member' "$name" status
    wait $asking || fail "no answer to a request for a run"
    cat runs.asked >>asked
    local took=$(($(now_ms) - began)) now; now=$(as a records status)
    echo "hour $1: $((now - records_before)) records, $per runs in $((took / 1000)) s; lab computed $(($(cpu_ms lab) - cpu_before)) ms; private memory, KiB:" \
        "$(for name in $members; do echo -n "$name $(private_kib $name) "; done)"
}

# --- a day ----------------------------------------------------------------------------------------------------------------------
init maker maker-org maker CH a b
join_by maker a b
jobs=$((records / 1000 + 1))
declare -A first last
for ((at = 1; at <= hours; at++)); do
    hour $at
    [[ $at -gt 1 ]] || for name in $members; do first[$name]=$(private_kib $name); done
done
until [[ $(open_runs) -eq 0 ]]; do
    before=$(open_runs)
    for _ in $(seq 1200); do [[ $(open_runs) -eq $before ]] || break; sleep 0.1; done
    [[ $(open_runs) -ne $before ]] || fail "$before runs stand still"
done

# --- the evening ------------------------------------------------------------------------------------------------------------------
"$PERIGEE" run list --data lab --json >list
jq -es 'all(.state == "settled" or (.reason != "none" and .reason != ""))' list >/dev/null || fail "a run ended without a reason"
settled=$(jq -s 'map(select(.state == "settled")) | length' list)
[[ $settled -ge $((per * hours)) ]] || fail "$settled runs of $((per * hours)) settled: $(jq -c '[.slot, .state, .reason]' list | grep -v settled | head -5)"
[[ $(grep -c '^no' asked) -eq $((2 * hours)) ]] || fail "expected two refusals an hour: $(sort asked | uniq -c)"
count=$(as a records status)
for name in $members maker; do await ".[0].records == $count" "$name" status; done
# A receipt counts some ticks after it came: its commits are checked.
for name in a b; do
    await "([.[0].allotments[].epsilon | tonumber] | add) == (.[0].allotted | tonumber) and
        (.[0].budget | tonumber) - (.[0].allotted | tonumber) == (.[0].left | tonumber) and
        ([.[0].allotments[].runs[] | select(.receipt)] | length) == $settled and
        ([.[0].allotments[].runs[] | select(.receipt) | .slot] | unique | length) == $settled" $name budget --asset "${dataset[$name]}"
done
for name in $members; do last[$name]=$(private_kib $name); done
for name in "${!node[@]}"; do stop "$name"; done
for name in $members maker visitor*/ device*/; do
    "$PERIGEE" doctor --data "$name" --store >doctor.out 2>&1 || fail "the store of $name: $(grep -v '^ok' doctor.out)"
done
for name in $members maker; do "$day" heads "$name" >"heads.$name"; cmp -s heads.a "heads.$name" || fail "$name has other heads than a"; done
# The same records in a node that did nothing yet: what the other has more is what a day of work left behind.
for name in $members; do start $name; done
for name in $members; do
    await ".[0].records == $count and ((.[0].peers // []) | map(select(.up)) | length >= 4)" $name status
    fresh=$(private_kib $name)
    echo "$name: private memory ${last[$name]} KiB, $((100 * ${last[$name]} / ${first[$name]}))% of the first hour's, $((100 * ${last[$name]} / fresh))% of a node just started"
    [[ ${last[$name]} -le $((2 * fresh + 32768)) ]] || fail "$name has grown to ${last[$name]} KiB, a new one needs $fresh"
done
for name in $members; do stop $name; done
if grep -l equivocation ./*.log; then fail "a node signed two records in one place"; fi
if grep -l event=store.failed ./*.log; then fail "a node could not store what it was sent"; fi
echo "$count records, $settled runs settled, $((2 * hours)) refused; $(grep -c '^no' answers || true) other refusals; $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo passed
