#!/usr/bin/env bash
# `perigee sim` at the command line: exit codes, what it says when something cannot be written, Ctrl-C, and its files before a parser.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

# A consortium of one: quick, and whole.
cat >small.yaml <<'YAML'
perigee: scenario/1
name: small
parties:
  - { name: north, region: sweden, jurisdiction: EU, roles: [steward, owner, custodian], rows: 10 }
  - { name: hall, region: us-east, jurisdiction: US, roles: [requester, compute, algorithm] }
charter: { k: 1 }
study: { runs: 2, every_ms: 500 }
YAML
# The same for as long as it takes to interrupt it.
sed 's/runs: 2, every_ms: 500/runs: 1000, every_ms: 60000/; $a for_ms: 86400000' small.yaml >long.yaml

# --- What is refused, in one line and before anything is simulated ---------------------------------------------------------------------
one_line() { # one_line CODE TEXT WORD...
    refused "$@"
    [[ $(wc -l <err) -eq 1 ]] || fail "more than one line: $(cat err)"
}
refused 3 'takes nothing beside it' sim --regions small.yaml
refused 3 'takes nothing beside it' sim small.yaml --regions --json
refused 3 'expected a scenario' sim
refused 3 'expected federated or central' sim small.yaml --trust me
refused 3 'expected federated or central' sim --swarm 1 --trust central
refused 3 '--jobs goes with --swarm and --sweep' sim small.yaml --jobs 2
refused 3 '--failing and --whole go with --swarm' sim small.yaml --failing x.yaml
refused 3 '--failing and --whole go with --swarm' sim small.yaml --whole
refused 3 'are of one run: a scenario' sim --swarm 1 --html x.html
one_line 1 '--failing nowhere/x.yaml: no such file or folder' sim --swarm 1 --failing nowhere/x.yaml
one_line 1 'missing.yaml: no such file' sim missing.yaml
mkdir folder
one_line 1 '--csv nowhere: expected a folder that is there' sim small.yaml --csv nowhere
one_line 1 '--csv small.yaml: expected a folder that is there' sim small.yaml --csv small.yaml
one_line 1 '--html nowhere/x.html: no such file or folder' sim small.yaml --html nowhere/x.html
one_line 1 '--trace folder: expected a regular file' sim small.yaml --trace folder
one_line 1 '--dot folder/: expected a regular file' sim small.yaml --dot folder/
one_line 1 '--html /dev/null: expected a regular file' sim small.yaml --html /dev/null
[[ -c /dev/null ]] || fail "a device was replaced"
refused 3 '--html and --dot name one file: x' sim small.yaml --html x --dot x
for wrong in 's/name: north/nme: north/;parties[0]' 's/runs: 2/runs: -2/;study.runs' 's/region: sweden, //;parties[0].region' \
    's/rows: 10/rows: 10000000/;parties[0].rows' 's/k: 1 }/f: 1 }/;charter.f: expected 0 to 0, there being 1 custodians' \
    's/custodian\]/custodian, custodian]/;parties[0].roles' 's/rows: 10/rows: 10, latency_ms: -4/;parties[0].latency_ms' \
    's/k: 1 }/k: 1 }\ntrust: me/;trust'; do
    sed "${wrong%;*}" small.yaml >wrong.yaml
    one_line 1 "${wrong##*;}" sim wrong.yaml
done
head -c 300000 /dev/zero | tr '\0' '#' >large.yaml
one_line 1 'expected a smaller file' sim large.yaml

# --- All of it, twice ------------------------------------------------------------------------------------------------------------------
for i in 1 2; do
    mkdir "csv$i"
    "$PERIGEE" sim small.yaml --seed 5 --csv "csv$i" --html "page$i.html" --trace "trace$i.json" --dot "places$i.dot" --json >"report$i.json"
done
cmp report1.json report2.json && cmp page1.html page2.html && cmp trace1.json trace2.json && cmp places1.dot places2.dot
diff -r csv1 csv2
[[ $(find csv1 -name '*.csv' | wc -l) -eq 10 ]] || fail "expected ten tables: $(ls csv1)"
[[ -z $(find . -name '*.html.*' -o -name '*.json.*' -o -name '*.dot.*' -o -name '*.csv.*') ]] ||
    fail "a temporary file was left: $(ls -R)"
jq -e '.runs.settled == 2 and (.kinds | map(.bytes) | add) == .bytes and (.nodes | map(.messages) | add) == .messages' report1.json >/dev/null ||
    fail "the numbers do not add up: $(cat report1.json)"
jq -e '[.traceEvents[] | select(.ph == "M" and .name == "thread_name") | .args.name] | index("north") != null and index("hall: enclave 1") != null' \
    trace1.json >/dev/null || fail "the trace does not name its tracks"
jq -e 'all(.traceEvents[] | select(.ph == "X"); .dur >= 0 and .ts >= 0 and .pid == 1 and .tid > 0)' trace1.json >/dev/null || fail "slices"
"$PERIGEE" sim small.yaml --seed 5 >text
grep -q "^hash $(jq -r .hash report1.json)$" text || fail "who prints less has another run: $(cat text)"
grep -q 'records came, ' text || fail "no word of delivery: $(cat text)"

# --- Beside a central pipeline ------------------------------------------------------------------------------------------------------------
"$PERIGEE" sim small.yaml --seed 5 --trust central >beside
grep -q '^the same study  *federated  *central$' beside || fail "not side by side: $(cat beside)"
grep -q "^  parties that could read others' rows  *0  *1$" beside || fail "readers: $(cat beside)"
grep -q '^  hall  *none: in enclaves  *10 rows$' beside || fail "hall: $(cat beside)"
grep -q '^  custodians that could together  *not all of them$' beside || fail "the one custodian is the owner: $(cat beside)"
"$PERIGEE" sim small.yaml --seed 5 --trust central --html beside.html --json >beside.json
jq -e '[.modes[].trust] == ["central", "federated"] and .modes[1].bytes == $r[0].bytes' --slurpfile r report1.json beside.json >/dev/null ||
    fail "another federated run: $(cat beside.json)"
grep -q 'Who came to hold what of whose rows' beside.html || fail "the page says nothing of readers"

# --- What cannot be written --------------------------------------------------------------------------------------------------------------
for words in 'small.yaml' 'small.yaml --json' '--regions' '--regions --json' '--swarm 1'; do
    code=0
    # shellcheck disable=SC2086 # words
    "$PERIGEE" sim $words >/dev/full 2>err || code=$?
    [[ $code -eq 1 ]] || fail "sim $words on a full disk: exit $code"
    grep -q 'standard output could not be written' err || fail "sim $words: $(cat err)"
done
code=0
(trap '' XFSZ && ulimit -f 1 && exec "$PERIGEE" sim small.yaml --html full.html) >out 2>err || code=$?
[[ $code -eq 1 ]] && grep -q -- '--html full.html: the disk or a quota is full' err || fail "a full disk: exit $code, $(cat err)"
grep -q '^hash ' out || fail "the report goes on"
[[ ! -e full.html ]] || fail "half a page was left"

# --- Ctrl-C -------------------------------------------------------------------------------------------------------------------------------
# interrupt FORM...: it runs, says how far it has come, is interrupted, and ends with 130 and what was done so far.
interrupt() {
    "$PERIGEE" sim long.yaml --html stopped.html "$@" >out 2>err &
    local pid=$! code=0
    for _ in $(seq 600); do
        grep -q 'of virtual time, .* events a second' err && break
        kill -0 "$pid" 2>/dev/null || fail "it ended: $(cat out err)"
        sleep 0.05
    done
    grep -q 'of virtual time, .* events a second' err || fail "nothing was said in 30 s: $(cat err)"
    kill -INT "$pid"
    wait "$pid" || code=$?
    [[ $code -eq 130 ]] || fail "interrupted: exit $code: $(cat err)"
    grep -q 'It was interrupted' stopped.html || fail "the page does not say that it was interrupted"
    rm stopped.html
}
interrupt
grep -q 'INTERRUPTED: this is what was done so far' out || fail "the text does not say that it was interrupted: $(cat out)"
grep -q '^hash ' out || fail "no hash of what was done: $(cat out)"

# A swarm: seeds that run are ended with it, and are no finding.
setsid "$PERIGEE" sim --swarm 1000000 --jobs 2 >out 2>err &
swarm=$!
for _ in $(seq 600); do
    [[ -n $(pgrep -P "$swarm" || true) ]] && break
    kill -0 "$swarm" 2>/dev/null || fail "it ended: $(cat out err)"
    sleep 0.05
done
kill -INT -- "-$swarm" # as a terminal does
code=0
wait "$swarm" || code=$?
[[ $code -eq 130 && ! -s out ]] || fail "an interrupted swarm: exit $code: $(cat out err)"
grep -qE '^perigee sim: interrupted: [0-9]+ of 1000000 seeds from 1 ran clean$' err || fail "what is said: $(cat err)"
for _ in $(seq 200); do
    pgrep -s "$swarm" >/dev/null || break
    sleep 0.05
done
if pgrep -s "$swarm" -a; then fail "processes are left"; fi

# --- On a terminal: a bar, and its own Ctrl-C ------------------------------------------------------------------------------------------------
mkfifo keys && : >typed
script -qefc "$PERIGEE sim long.yaml" typed <keys >/dev/null 2>&1 &
terminal=$!
exec 3>keys
for _ in $(seq 600); do
    grep -qa '\[[#.]*\] .* events a second' typed && break
    kill -0 "$terminal" 2>/dev/null || fail "it ended: $(cat typed)"
    sleep 0.05
done
grep -qa '\[[#.]*\] .* events a second' typed || fail "no bar on a terminal: $(cat typed)"
printf '\003' >&3
code=0
wait "$terminal" || code=$?
exec 3>&-
[[ $code -eq 130 ]] || fail "interrupted on a terminal: exit $code: $(cat typed)"
grep -qa 'INTERRUPTED' typed || fail "the terminal does not say that it was interrupted: $(cat typed)"
