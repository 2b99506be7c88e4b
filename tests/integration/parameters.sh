#!/usr/bin/env bash
# A study whose requester chooses a least age: the nodes take what the workflow allows and say what else was expected; a
# run with another value has another outcome; the value is in the run and in its receipt.
set -euo pipefail
: "${PERIGEE:?the program}" "${PERIGEE_SOURCE_DIR:?the sources}"
[[ -e ${PERIGEE_DUCKDB:-} ]] || { echo "SKIPPED: no libduckdb.so at ${PERIGEE_DUCKDB:-PERIGEE_DUCKDB}"; exit 77; }
tmp=$(mktemp -d /tmp/perigee-test.XXXXXX)
demo=
trap '[[ -z $demo ]] || kill -INT "$demo" 2>/dev/null || true; wait; rm -rf "$tmp"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# --- a study with a parameter, on files of its own ------------------------------------------------------------------------
mkdir "$tmp/data"
for silo in eu-west eu-north swiss us; do
    awk 'BEGIN { print "patient_id,age,sex,systolic_bp,creatinine_umol_l,egfr,diabetes,outcome"
                 for (i = 0; i < 1000; i++) printf "p%d,%d,%s,120,80.5,90,false,true\n", i, 30 + i % 60, i % 2 ? "f" : "m" }' \
        >"$tmp/data/$silo.csv"
done
# shellcheck disable=SC2016 # $min_age is the parameter
sed -e '/^synthetic:/d' \
    -e 's/^\(  - { name: \([a-z-]*\), organisation: [a-z-]*-hospital, jurisdiction: [A-Z]*\) }/\1, file: \2.csv, rows: 1000 }/' \
    -e 's/^slots: 5/slots: 8/' -e 's/^budget: "9"/budget: "13.5"/' \
    -e 's/FROM input$/FROM input WHERE age >= $min_age/' \
    -e 's/^  residency: .*/&\n  parameters:\n    - { name: min_age, type: integer, lower: "18", upper: "99", value: "30" }/' \
    "$PERIGEE_SOURCE_DIR/configs/studies/cardio-renal.yaml" >"$tmp/study.yaml"

"$PERIGEE" demo --study "$tmp/study.yaml" --data "$tmp/data" --keep "$tmp/kept" --stay >"$tmp/out" 2>&1 &
demo=$!
until grep -q 'go on until Ctrl-C' "$tmp/out"; do
    kill -0 "$demo" 2>/dev/null || fail "demo: $(tail -5 "$tmp/out")"
    sleep 0.1
done
# shellcheck disable=SC2016
grep -qF '$min_age: a whole number from 18 to 99' "$tmp/out" || fail "the owner was not shown what may be chosen"

# --- what is refused --------------------------------------------------------------------------------------------------------
workflow=$(sha256sum <"$tmp/kept/workflow.json" | cut -d' ' -f1)
request() { "$PERIGEE" run request --data "$tmp/kept/renal-research" --workflow "$workflow" "$@"; }
refused() { # exit code, what is said, words
    local code=0 wanted=$1 said=$2
    shift 2
    request --slot 8 "$@" >"$tmp/answer" 2>&1 || code=$?
    [[ $code -eq $wanted ]] || fail "$*: exit $code: $(cat "$tmp/answer")"
    grep -qF -- "$said" "$tmp/answer" || fail "$*: expected \"$said\", came: $(cat "$tmp/answer")"
}
refused 1 'min_age: expected integer from 18 to 99; came nothing'
refused 1 'min_age: expected integer from 18 to 99; came 17' --set min_age=17
refused 1 'min_age: expected integer from 18 to 99; came 100' --set min_age=100
refused 1 'min_age: expected integer from 18 to 99; came "old"' --set min_age=old
refused 1 'max_age: expected no member of this name; came "1"' --set min_age=30 --set max_age=1
refused 3 'given twice' --set min_age=30 --set min_age=40
refused 3 'expected NAME=VALUE' --set min_age
for body in '{"parameters":[30]}' '{"parameters":{"min_age":30.5}}' '{"parameters":{"min_age":null}}'; do
    code=$(jq -c --arg w "$workflow" '. + {compose: $w, slot: 8}' <<<"$body" |
        curl -s -o "$tmp/answer" -w '%{http_code}' --unix-socket "$tmp/kept/renal-research/api.sock" \
            -H 'Content-Type: application/json' --data @- http://localhost/v1/runs)
    [[ $code == 400 ]] || fail "$body: $code $(cat "$tmp/answer")"
done

# --- what is chosen decides, and is told ------------------------------------------------------------------------------------
visits() { jq '[.output.steps[0].cells[].values[0]] | add'; }
request --slot 8 --set min_age=90 --wait --json | tail -1 >"$tmp/run" || fail "run: $(cat "$tmp/run")"
[[ $(jq -c .parameters "$tmp/run") == '{"min_age":90}' ]] || fail "the run does not say its parameters: $(cat "$tmp/run")"
all=$(jq '{output: .}' "$tmp/kept/output.json" | visits) none=$(visits <"$tmp/run")
# 4,000 rows in ten cells, and none; the noise of a cell has scale 13.
[[ $all -gt 3000 && $none -lt 1000 ]] || fail "from 30 on $all visits, from 90 on $none"
run=$(jq -r .run "$tmp/run")
"$PERIGEE" run receipt --data "$tmp/kept/renal-research" "$run" --out "$tmp/receipt" >/dev/null || fail "receipt: exit $?"
"$PERIGEE" verify "$tmp/receipt" --consortium "$(cat "$tmp/kept/consortium")" >/dev/null || fail "verify: exit $?"
"$PERIGEE" run show --data "$tmp/kept/renal-research" "$run" | grep -qF 'parameters {"min_age":90}' || fail "run show"

kill -INT "$demo"
wait "$demo" || fail "the demonstration ended with $?"
demo=
echo passed
