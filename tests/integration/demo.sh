#!/usr/bin/env bash
# The demonstration with few rows: it ends well, says what it did step by step, keeps what it promises, leaves nothing
# running, keeps everything when it fails, and ends in order when it is interrupted.
set -euo pipefail
: "${PERIGEE:?the program}"
[[ -e ${PERIGEE_DUCKDB:-} ]] || { echo "SKIPPED: no libduckdb.so at ${PERIGEE_DUCKDB:-PERIGEE_DUCKDB}"; exit 77; }
tmp=$(mktemp -d /tmp/perigee-test.XXXXXX)
node=
trap '[[ -z $node ]] || kill "$node" 2>/dev/null; rm -rf "$tmp"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# Processes whose command line names this test's folder.
running() { pgrep -f -- "--data $tmp" || true; }

# --- one whole run ----------------------------------------------------------------------------------------------------
# Its nodes stay; one of them is killed, which is said at once and once, and they end on Ctrl-C.
"$PERIGEE" demo --keep "$tmp/kept" --rows 300 --json --stay >"$tmp/steps" 2>"$tmp/said" &
demo=$!
until grep -qF '"step":"stay"' "$tmp/steps"; do
    kill -0 "$demo" 2>/dev/null || fail "demo: $(cat "$tmp/said")"
    sleep 0.1
done
kill -KILL "$(pgrep -f -- "node --data $tmp/kept/us-hospital")"
for _ in $(seq 100); do
    [[ -s $tmp/said ]] && break
    sleep 0.1
done
kill -INT "$demo"
code=0
wait "$demo" || code=$?
[[ $code -eq 1 ]] || fail "a demonstration whose node was killed: exit $code"
[[ $(grep -c . "$tmp/said") -eq 1 ]] || fail "a killed node is not said once: $(cat "$tmp/said")"
jq -r .detail "$tmp/said" | grep -qF "node of us-hospital ended with exit code 137" || fail "$(cat "$tmp/said")"
jq -r .detail "$tmp/said" | grep -qF "$PERIGEE node --data $tmp/kept/us-hospital" || fail "$(cat "$tmp/said")"
[[ $(jq -r .ok "$tmp/steps" | sort -u) == true ]] || fail "a step is not ok"
jq -es 'all(.[]; has("step") and has("expectation") and has("outcome"))' "$tmp/steps" >/dev/null || fail "a step lacks a member"
for section in 1 2 3 4 5 6 7 8 9 10; do
    grep -qF "{\"section\":$section," "$tmp/steps" || fail "no step of section $section"
done
for said in "approval 1/4" "approval 4/4" "run too early" verify "one changed byte" rows "spent slot" "second run" killed failover back race "over budget" budget; do
    grep -qF "\"step\":\"$said\"" "$tmp/steps" || fail "no step $said"
done
[[ $(jq -r 'select(.step == "failover").outcome' "$tmp/steps") == *"in term "[2-9]*"is spent once" ]] || fail "no failover"
[[ $(jq -r 'select(.step == "race").outcome' "$tmp/steps") == "slot "*" went to one of 4; 3 refused, slot-spent" ]] || fail "no race"
for reason in no-approval recipe-lock slot-spent budget; do grep -q "refused, $reason" "$tmp/steps" || fail "no refusal $reason"; done
[[ -z $(running) ]] || fail "processes are left: $(running)"

# --- what it kept, with no node running ----------------------------------------------------------------------------------
cd "$tmp/kept"
for file in receipt.json consortium charter.json workflow.json output.json; do [[ -s $file ]] || fail "no $file"; done
[[ $(sha256sum <charter.json | cut -d' ' -f1) == "$(cat consortium)" ]] || fail "the consortium is not the charter's hash"
"$PERIGEE" verify receipt.json --consortium "$(cat consortium)" >"$tmp/links" || fail "verify: exit $?"
[[ $(grep -c '^ok' "$tmp/links") -eq 15 ]] || fail "not 15 links"
grep -q SIMULATED "$tmp/links" || fail "SIMULATED is not said"
"$PERIGEE" verify receipt.json --consortium "$(cat consortium)" --json | jq -es 'all(.[]; .ok // .verified)' >/dev/null ||
    fail "verify --json"
code=0
"$PERIGEE" verify receipt.json >/dev/null 2>&1 || code=$?
[[ $code -eq 4 ]] || fail "verify without an anchor: exit $code"
code=0
"$PERIGEE" verify receipt.json --consortium "$(printf '%064d' 7)" 2>"$tmp/why" >/dev/null || code=$?
[[ $code -eq 4 ]] || fail "verify for another consortium: exit $code"
grep -q "link consortium" "$tmp/why" || fail "the broken link is not named: $(cat "$tmp/why")"
# What each owner was shown is here, and is what it signed.
for owner in eu-west-hospital eu-north-hospital swiss-hospital us-hospital; do
    hash=$(sha256sum <"approval-$owner.txt" | cut -d' ' -f1)
    grep -qF "$owner approves, having read text $hash" "$tmp/steps" || fail "$owner did not sign approval-$owner.txt"
done
cd /

# --- a node started again says what it saw of the runs, with no other node to ask ---------------------------------------------
"$PERIGEE" node --data "$tmp/kept/renal-research" 2>"$tmp/again.log" &
node=$!
for _ in $(seq 300); do
    "$PERIGEE" run list --data "$tmp/kept/renal-research" --json >"$tmp/runs" 2>/dev/null && break
    sleep 0.1
done
[[ $(jq -rs 'map(select(.state == "refused") | .reason)[]' "$tmp/runs") == recipe-lock ]] || fail "the refused run: $(cat "$tmp/runs")"
run=$(jq -rs 'map(select(.state == "settled") | .run)[0]' "$tmp/runs")
"$PERIGEE" run show --data "$tmp/kept/renal-research" --json "$run" >"$tmp/run" || fail "run show: exit $?"
jq -e '.phases | has("elected") and has("attested") and has("settled")' "$tmp/run" >/dev/null ||
    fail "phases are lost: $(cat "$tmp/run")"
kill -TERM "$node"
wait "$node" || fail "the node started again ends with $?"
node=

# --- without --keep: what anyone needs to verify it is left, and nothing else ------------------------------------------------
mkdir "$tmp/short"
TMPDIR=$tmp/short "$PERIGEE" demo --rows 300 >"$tmp/plain" 2>&1 || fail "demo without --keep: $(tail -n 5 "$tmp/plain")"
grep -q 'its run .*ended revoked: no output, no receipt' "$tmp/plain" || grep -q "settled: q custodians had committed" "$tmp/plain" ||
    fail "no revocation in flight: $(grep -A 9 '^10 ' "$tmp/plain")"
grep -q 'another run .*refused, revoked' "$tmp/plain" || fail "a run after the revocation: $(grep -A 9 '^10 ' "$tmp/plain")"
[[ $(cd "$tmp/short" && echo perigee-demo.*/*) =~ ^[^\ ]*/consortium\ [^\ ]*/output.json\ [^\ ]*/receipt.json$ ]] ||
    fail "left: $(find "$tmp/short")"
bash -c "$(tail -n 1 "$tmp/plain")" >"$tmp/links" || fail "the command it shows: $(tail -n 1 "$tmp/plain")"
[[ $(grep -c '^ok' "$tmp/links") -eq 15 ]] || fail "not 15 links"
rm -rf "${tmp:?}/short"

# --- a study that cannot work: said once, in words; everything is kept, the logs too -----------------------------------------
mkdir "$tmp/short"
sed 's/systolic_bp AS bp/systolic AS bp/' "$tmp/kept/study.yaml" >"$tmp/wrong.yaml"
code=0
TMPDIR=$tmp/short "$PERIGEE" demo --study "$tmp/wrong.yaml" --data "$tmp/kept" >"$tmp/wrong" 2>&1 || code=$?
[[ $code -eq 1 ]] || fail "a wrong study: exit $code"
[[ $(grep -c 'systolic' "$tmp/wrong") -eq 1 ]] || fail "a wrong study is not said once: $(cat "$tmp/wrong")"
grep -q '[{}]' "$tmp/wrong" && fail "raw JSON: $(cat "$tmp/wrong")"
kept=$(sed -n "s/^ *kept, with every node's log: //p" "$tmp/wrong")
[[ -s $kept/renal-research.log && -d $kept/us-hospital ]] || fail "nothing is kept in '$kept'"
sed 's/residency: .*/residency: [JP]/' "$tmp/kept/study.yaml" >"$tmp/wrong.yaml"
rm -rf "${tmp:?}/short"/*
"$PERIGEE" demo --study "$tmp/wrong.yaml" --data "$tmp/kept" >"$tmp/wrong" 2>&1 && fail "no provider may compute, and it began"
[[ $(cat "$tmp/wrong") == "perigee demo: $tmp/wrong.yaml: workflow.residency: expected one where a compute provider is (CH, EU), got JP" ]] ||
    fail "a study without a provider: $(cat "$tmp/wrong")"
rm -rf "${tmp:?}/short"

# --- the second run in the same folder is refused, and nothing is overwritten ---------------------------------------------
"$PERIGEE" demo --keep "$tmp/kept" --rows 300 >/dev/null 2>&1 && fail "a folder with something in it was taken"
[[ -s $tmp/kept/receipt.json ]] || fail "a kept receipt is gone"

# --- interrupted: by Ctrl-C, and by a terminal that closes -----------------------------------------------------------------
mkdir "$tmp/short"
for signal in INT HUP; do
    TMPDIR=$tmp/short env --default-signal=HUP "$PERIGEE" demo --rows 300 >"$tmp/interrupted" 2>&1 &
    demo=$!
    for _ in $(seq 100); do
        pgrep -f -- "--data $tmp/short" >/dev/null && break
        sleep 0.05
    done
    sleep 0.5
    kill "-$signal" "$demo"
    code=0
    wait "$demo" || code=$?
    [[ $code -eq 1 ]] || fail "interrupted by $signal: exit $code"
    grep -q interrupted "$tmp/interrupted" || fail "it does not say that it was interrupted by $signal"
    [[ -z $(running) ]] || fail "a demonstration interrupted by $signal left processes: $(running)"
    [[ -z $(ls -A "$tmp/short") ]] || fail "a demonstration interrupted by $signal left files: $(ls "$tmp/short")"
done

# --- killed: the nodes go with it -------------------------------------------------------------------------------------------
TMPDIR=$tmp/short "$PERIGEE" demo --rows 300 >/dev/null 2>&1 &
demo=$!
for _ in $(seq 100); do
    [[ $(pgrep -fc -- "node --data $tmp/short") -ge 7 ]] && break
    sleep 0.05
done
kill -KILL "$demo"
wait "$demo" 2>/dev/null || true
for _ in $(seq 100); do
    [[ -z $(running) ]] && break
    sleep 0.1
done
[[ -z $(running) ]] || fail "a killed demonstration left processes: $(running)"
echo passed
