#!/usr/bin/env bash
# `perigee sim --sweep` at the command line: the same bytes with one job, with two, and after an end at any time; what is refused; what
# is said of a cell that breaks a property. Under mpirun: sweep_mpi.sh.
set -euo pipefail
source_dir=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
source "$source_dir/tests/nodes.sh"
unset "${!OMPI_@}" "${!PMIX_@}" # of whoever runs this test

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
mkdir files && sed 's/scenario: small/scenario: ..\/small/' >files/grid.yaml <<'YAML'
perigee: sweep/1
name: grid
scenario: small.yaml
grid:
  network.loss_ppm: [0, 100000]
  study.epsilon: ["0.5", "1"]
seeds: { from: 3, count: 5 }
YAML
# Its first cell is quick, its others take until they are stopped.
cat >long.yaml <<'YAML'
perigee: sweep/1
name: long
scenario: small.yaml
grid: { study.runs: [1, 1000, 999, 998], study.every_ms: [60000], for_ms: [86400000] }
YAML

one_line() { # one_line CODE TEXT WORD...
    refused "$@"
    [[ $(wc -l <err) -eq 1 ]] || fail "more than one line: $(cat err)"
}
same() { cmp "$1.csv" grid.csv && cmp "$1.jsonl" grid.jsonl || fail "$1 is not what one process gave"; }
# line TEXT: as the partial file keeps it.
line() { printf '%s %s\n' "$(printf %s "$1" | sha256sum | cut -c1-16)" "$1"; }

# --- What is refused, in one line and before anything is simulated ----------------------------------------------------------------------
sweep() { # sweep SED: the sweep with this change
    sed "$1" files/grid.yaml >files/wrong.yaml
}
for wrong in 's/sweep.1/sweep\/2/;perigee: expected sweep/1' 's/^name/nam/;name: expected 1 to 64' 's/seeds:/sees:/;sees: expected no member' \
    's/count: 5/count: 0/;seeds.count: expected integer from 1' 's/count: 5/count: 25001/;at most 100000 cells' \
    's/network.loss_ppm/network.loss/;with {"network.loss":0,"study.epsilon":"0.5"}: network.loss: expected no member' \
    's/100000/-1/;with {"network.loss_ppm":-1,"study.epsilon":"0.5"}: network.loss_ppm: expected' \
    's/network.loss_ppm/faults[0].at_ms/;grid.faults[0].at_ms: expected a key that leads' 's/network.loss_ppm/network[/;expected a key of the scenario' \
    's/small/none/;none.yaml: no such file' 's/\[0, 100000\]/0/;expected a list of 1 to 256 values'; do
    sweep "${wrong%%;*}"
    one_line 1 "${wrong#*;}" sim --sweep files/wrong.yaml
done
sweep 's/scenario: .*/scenario: 7/'
one_line 1 'scenario: expected a scenario, or the path of one' sim --sweep files/wrong.yaml
sweep 's/seeds:/name: b\nseeds:/'
one_line 1 'expected each key once' sim --sweep files/wrong.yaml
head -c 300000 /dev/zero | tr '\0' '#' >large.yaml
one_line 1 'expected a smaller file' sim --sweep large.yaml
one_line 1 'nowhere/a.csv: no such file or folder' sim --sweep files/grid.yaml --out nowhere/a
mkdir taken.csv
one_line 1 'taken.csv: expected a regular file' sim --sweep files/grid.yaml --out taken
one_line 1 '--cell: expected 1 to 20' sim --sweep files/grid.yaml --cell 21
one_line 1 '--cell: expected 1 to 30' sim --sweep "$source_dir/configs/sweeps/loss-and-leases.yaml" --cell 31
refused 3 'go with --sweep' sim small.yaml --cell 1
refused 3 'the seeds of a sweep are in its file' sim --sweep files/grid.yaml --seed 1
refused 3 'files of one of its cells: --cell' sim --sweep files/grid.yaml --html x.html
refused 3 'a scenario, a swarm or a sweep' sim --sweep files/grid.yaml small.yaml
refused 3 '--out names the files of a whole sweep' sim --sweep files/grid.yaml --cell 1 --out x
refused 3 '--jobs goes with --swarm and --sweep' sim --sweep files/grid.yaml --cell 1 --jobs 2
[[ -z $(find . -name '*.partial' -o -name '*.jsonl') ]] || fail "something was begun: $(ls)"

# --- One job, two jobs: the same bytes, and every cell is the run of its scenario and seed -------------------------------------------------
"$PERIGEE" sim --sweep files/grid.yaml --jobs 1 >text
grep -q '^20 cells, .*; medians over 5 seeds of each row$' text || fail "what is said: $(cat text)"
grep -q ' 0  *5  network.loss_ppm 100000, study.epsilon 0.5$' text || fail "no row for the third choice: $(cat text)"
[[ $(grep -c $'\r$' grid.csv) -eq 21 && $(wc -l <grid.jsonl) -eq 20 && ! -e grid.partial ]] || fail "files: $(ls) $(cat grid.csv)"
"$PERIGEE" sim --sweep files/grid.yaml --jobs 2 --out two --json >report.json
same two
jq -e '.cells == 20 and .violations == 0 and (.points | length) == 4 and .points[2].values["network.loss_ppm"] == 100000' report.json >/dev/null ||
    fail "the object: $(cat report.json)"
[[ $(jq -s '[.[5:10][].messages] | sort | .[2]' grid.jsonl) == $(jq .points[1].messages report.json) ]] || fail "the median: $(cat report.json)"
sed 's/study: { /study: { epsilon: "1", /; $a network: { loss_ppm: 100000 }' small.yaml >cell.yaml
"$PERIGEE" sim cell.yaml --seed 6 --json >cell.json
[[ $(jq -r .hash cell.json) == $(jq -r 'select(.cell == 19) | .hash' grid.jsonl) ]] || fail "cell 19 is another run"
"$PERIGEE" sim --sweep files/grid.yaml --cell 19 --json | cmp - cell.json || fail "--cell 19 is another run"
# The scenario in the sweep itself.
{ sed '/scenario:/d' files/grid.yaml && echo scenario: && sed 's/^/  /' small.yaml; } >inline.yaml
"$PERIGEE" sim --sweep inline.yaml >/dev/null
same inline

# --- A disk that is full: it ends, and goes on from there; what is done is not done again ----------------------------------------------------
code=0
(trap '' XFSZ && ulimit -f 4 && exec "$PERIGEE" sim --sweep files/grid.yaml --jobs 2 --out full) >out 2>err || code=$?
[[ $code -eq 1 ]] && grep -q 'full.partial: the disk or a quota is full' err || fail "a full disk: exit $code, $(cat err)"
[[ ! -e full.csv && ! -e full.jsonl && $(wc -l <full.partial) -ge 3 && $(wc -l <full.partial) -lt 21 ]] || fail "$(ls) $(cat full.partial)"
cp full.partial kept
sed -i '$ s/....$//' full.partial # torn
echo 'not a line' >>full.partial
sed -i '2 s/"cell"/"cfll"/' full.partial # changed
truncate -s -1 full.partial
"$PERIGEE" sim --sweep files/grid.yaml --out full >/dev/null
same full
[[ ! -e full.partial ]] || fail "the partial file was left"
# Who says that a cell had 77 bytes is believed, if the line is whole: it was not run again.
told=$(sed -n '1 s/"bytes":[0-9]*/"bytes":77/p' grid.jsonl)
{ head -n 1 kept && line "$told"; } >told.partial
"$PERIGEE" sim --sweep files/grid.yaml --out told >/dev/null
[[ $(head -n 1 told.jsonl) == "$told" ]] || fail "a cell that was done was run again: $(head -n 1 told.jsonl)"
cmp <(tail -n +2 told.jsonl) <(tail -n +2 grid.jsonl) || fail "the others are not the same"

# --- Another sweep's partial file, another scenario's, another program's -----------------------------------------------------------------------
for change in 's/count: 5/count: 4/' 's/small/cell/'; do
    sweep "$change"
    cp kept wrong.partial
    one_line 1 'wrong.partial: expected what was done of this so far, it is of another, or by another build of perigee: finish that one, or remove the file, or keep this sweep elsewhere with --out NAME' \
        sim --sweep files/wrong.yaml
    cmp kept wrong.partial || fail "another sweep's file was changed"
done
cp kept wrong.partial
sed -i 's/program ./program x/' wrong.partial
one_line 1 'or by another build of perigee' sim --sweep files/grid.yaml --out wrong
rm wrong.partial

# --- Ctrl-C, two at once, and an end without a word --------------------------------------------------------------------------------------------
begun() { # begun NAME: the long sweep runs, and its first cell is done
    setsid "$PERIGEE" sim --sweep long.yaml --jobs 2 --out "$1" >out 2>err &
    pid=$!
    for _ in $(seq 1200); do
        [[ $(wc -l 2>/dev/null <"$1.partial") -ge 2 ]] && return
        kill -0 "$pid" 2>/dev/null || fail "it ended: $(cat out err)"
        sleep 0.05
    done
    fail "no cell was done in a minute: $(cat err)"
}
gone() { # nothing of what `begun` started is left; by itself it would be there for a minute
    for _ in $(seq 200); do
        pgrep -s "$pid" >/dev/null || return 0
        sleep 0.05
    done
    fail "processes are left: $(pgrep -s "$pid" -a)"
}
begun long
one_line 1 'long.partial: another process is writing to it: let that one end, or keep this sweep elsewhere' sim --sweep long.yaml
kill -INT -- "-$pid" # as a terminal does
code=0 && wait "$pid" || code=$?
[[ $code -eq 130 ]] || fail "interrupted: exit $code: $(cat err)"
grep -q 'interrupted: 1 of 4 cells are done and stay in long.partial; the same command goes on' err || fail "what is said: $(cat err)"
gone
begun long # with the cell that was kept
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
gone
[[ $(wc -l <long.partial) -eq 2 ]] || fail "more than one cell was kept: $(cat long.partial)"
# With all of its cells kept it is at its end, and starts none of them.
first=$(sed -n '2 s/^[0-9a-f]* //p' long.partial)
for cell in 2 3 4; do line "${first/\"cell\":1,/\"cell\":$cell,}"; done >>long.partial
timeout 40 "$PERIGEE" sim --sweep long.yaml >out || fail "cells that are done were run again"
grep -q '^4 cells, ' out || fail "what is said: $(cat out)"

# --- Cells whose processes stop: ended by somebody they have no result, at an assertion they have -----------------------------------------------
stop_cells() { # stop_cells SIGNAL: every cell of the sweep that runs
    local cell code=0
    while kill -0 "$pid" 2>/dev/null; do
        for cell in $(pgrep -P "$pid"); do kill "-$1" "$cell" 2>/dev/null || true; done
        sleep 0.05
    done
    wait "$pid" || code=$?
    [[ $code -eq 1 ]] || fail "its cells were stopped: exit $code: $(cat out err)"
}
begun ended
stop_cells KILL
grep -qE '3 of 4 cells have no result, cell [234]: its process stopped, with signal 9; the others stay in ended.partial, and the same command goes on$' err ||
    fail "what is said: $(cat err)"
[[ $(wc -l <ended.partial) -eq 2 && ! -e ended.csv ]] || fail "$(ls) $(cat ended.partial)"
begun ended
stop_cells ABRT
grep -q 'cell 4: after 0 ms: panic: its process stopped, with signal 6; again: perigee sim --sweep long.yaml --cell 4$' err || fail "what is said: $(cat err)"
[[ $(jq -s -c 'map(.violation)' ended.jsonl) == '[null,"panic: its process stopped, with signal 6","panic: its process stopped, with signal 6","panic: its process stopped, with signal 6"]' ]] ||
    fail "$(cat ended.jsonl)"

# --- A cell that breaks a property: said, with what shows it again; the others go on ------------------------------------------------------------
cat >broken.yaml <<'YAML'
perigee: sweep/1
name: broken
scenario: small.yaml
grid: { for_ms: [1200, 600000] }
seeds: { count: 2 }
YAML
code=0
"$PERIGEE" sim --sweep broken.yaml >out 2>err || code=$?
[[ $code -eq 1 ]] || fail "exit $code"
grep -q '^perigee sim: cell 2: after [0-9]* ms: live: .*; again: perigee sim --sweep broken.yaml --cell 2$' err || fail "what is said: $(cat err)"
grep -q '2 of 4 cells broke a property; again, the first: perigee sim --sweep broken.yaml --cell 1$' err || fail "the last word: $(cat err)"
grep -q ' 2  *2  for_ms 1200$' out && grep -q ' 0  *2  for_ms 600000$' out || fail "the table: $(cat out)"
"$PERIGEE" sim --sweep broken.yaml --out unseen >/dev/full 2>err || true
grep -q 'standard output could not be written' err || fail "a full stdout: $(cat err)"
[[ $(jq -s -c 'map(has("violation"))' broken.jsonl) == '[true,true,false,false]' ]] || fail "$(cat broken.jsonl)"
one_line 1 "$(jq -r 'select(.cell == 2) | .violation' broken.jsonl); again: perigee sim --sweep broken.yaml --cell 2" \
    sim --sweep broken.yaml --cell 2

# --- Without Open MPI under an mpirun: rank 0 says it, once, and the first rank of another machine ------------------------------------------------------------------------------------
mkdir alone && cp "$PERIGEE" alone/perigee
without_mpi() { # without_mpi TEXT VARIABLE=VALUE...: this line, and nothing else
    local want=$1 code=0
    shift
    env "$@" alone/perigee sim --sweep files/grid.yaml 2>err || code=$?
    [[ $code -eq 1 && $(wc -l <err) -eq 1 ]] && grep -q "$want" err || fail "$*: exit $code: $(cat err)"
}
without_mpi 'built without Open MPI .*install libopenmpi-dev' OMPI_COMM_WORLD_RANK=0
without_mpi 'built without Open MPI .*install libopenmpi-dev' OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_LOCAL_RANK=0
code=0
OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_LOCAL_RANK=1 alone/perigee sim --sweep files/grid.yaml 2>err || code=$?
[[ $code -eq 1 && ! -s err ]] || fail "rank 1: exit $code: $(cat err)"
: >alone/perigee-mpi.so
without_mpi 'perigee-mpi.so does not load (.*): install on this machine the Open MPI' OMPI_COMM_WORLD_RANK=0
"${CC:-cc}" -shared -o alone/perigee-mpi.so -x c - <<<'unsigned ranks_mpi[16] = {77};'
without_mpi 'is of another version: copy both from one build' OMPI_COMM_WORLD_RANK=0
rm alone/perigee-mpi.so
if ldd "$PERIGEE" | grep -i mpi; then fail "perigee links Open MPI"; fi
