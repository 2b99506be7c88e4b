#!/usr/bin/env bash
# `mpirun perigee sim --sweep`, in a network of its own: the same bytes as without it, cells done by other ranks than the first, a sweep
# that goes on from what another number of ranks left.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
unset "${!OMPI_@}" "${!PMIX_@}" # of whoever runs this test
export TMPDIR=$tmp              # for what mpirun keeps
how="-rn"
[[ $(id -u) -ne 0 ]] || how="-n"
if ! command -v mpirun >/dev/null || [[ ! -e $(dirname "$PERIGEE")/perigee-mpi.so ]]; then
    echo "SKIPPED: Open MPI (libopenmpi-dev, openmpi-bin) is not installed, or was not when perigee was built"
    exit 77
elif ! unshare $how ip link set lo up 2>/dev/null; then
    echo "SKIPPED: no network namespace can be made here"
    exit 77
fi

cat >grid.yaml <<'YAML'
perigee: sweep/1
name: grid
scenario:
  perigee: scenario/1
  name: small
  parties:
    - { name: north, region: sweden, jurisdiction: EU, roles: [steward, owner, custodian], rows: 10 }
    - { name: hall, region: us-east, jurisdiction: US, roles: [requester, compute, algorithm] }
  charter: { k: 1 }
  study: { runs: 2, every_ms: 500 }
grid: { for_ms: [1200, 600000], network.loss_ppm: [0, 100000] }
seeds: { count: 5 }
YAML
mpi() { # mpi CODE RANKS WORD...: it ends with this code
    local want=$1 ranks=$2 code=0
    shift 2
    # shellcheck disable=SC2016 # the words are the inner shell's
    unshare $how sh -c 'ip link set lo up && exec "$@"' sh mpirun --allow-run-as-root --oversubscribe -n "$ranks" "$PERIGEE" sim --sweep "$@" \
        >out 2>err || code=$?
    [[ $code -eq $want ]] || fail "$*: exit $code, expected $want: $(cat out err)"
}
same() { cmp "$1.csv" grid.csv && cmp "$1.jsonl" grid.jsonl && [[ ! -e $1.partial ]] || fail "$1 is not what one process gave"; }

# Ten of its twenty cells break a property.
refused 1 '10 of 20 cells broke a property' sim --sweep grid.yaml
mpi 1 3 grid.yaml --out three
same three
[[ $(grep -c '^20 cells, ' out) -eq 1 && $(grep -c '10 of 20 cells broke a property' err) -eq 1 ]] ||
    fail "one rank speaks for all: $(cat out err)"
mpi 1 2 grid.yaml --out jobs --jobs 3
same jobs

# What one process had when its disk was full is gone on with by any number of ranks.
(trap '' XFSZ && ulimit -f 4 && exec "$PERIGEE" sim --sweep grid.yaml --out full >out 2>err) || true
grep -q 'full.partial: the disk or a quota is full' err || fail "a full disk: $(cat err)"
[[ $(wc -l <full.partial) -ge 3 && $(wc -l <full.partial) -lt 21 ]] || fail "$(cat full.partial)"
mpi 1 2 grid.yaml --out full
same full

# What rank 0 refuses, it alone says; the others end, too.
mpi 1 3 grid.yaml --out nowhere/x
[[ $(grep -c '^perigee sim: nowhere/x.csv: no such file' err) -eq 1 && ! -s out ]] || fail "a refusal: $(cat out err)"

# Every rank has a cell under way, of cells that take until they are stopped; they go when mpirun is told to end.
sed 's/^grid:.*/grid: { study.runs: [1000], study.every_ms: [60000], for_ms: [86400000] }/' grid.yaml >long.yaml
# shellcheck disable=SC2016
unshare $how sh -c 'ip link set lo up && exec "$@"' sh mpirun --allow-run-as-root --oversubscribe -n 3 "$PERIGEE" sim --sweep long.yaml >out 2>err &
mpirun=$!
for _ in $(seq 1200); do
    mapfile -t ranks < <(pgrep -P "$mpirun" -x perigee || true)
    cells=()
    for rank in "${ranks[@]}"; do mapfile -t -O "${#cells[@]}" cells < <(pgrep -P "$rank" -x perigee || true); done
    [[ ${#ranks[@]} -eq 3 && ${#cells[@]} -eq 3 ]] && break
    kill -0 "$mpirun" 2>/dev/null || fail "it ended: $(cat out err)"
    sleep 0.05
done
[[ ${#ranks[@]} -eq 3 && ${#cells[@]} -eq 3 ]] || fail "ranks ${ranks[*]}, cells ${cells[*]}: expected three of both"
for rank in "${ranks[@]}"; do [[ $(pgrep -c -P "$rank" -x perigee) -eq 1 ]] || fail "rank $rank has no cell of its own"; done
kill -TERM "$mpirun"
wait "$mpirun" || true
for _ in $(seq 600); do
    left=0
    for pid in "${ranks[@]}" "${cells[@]}"; do ! kill -0 "$pid" 2>/dev/null || left=1; done
    [[ $left -eq 1 ]] || break
    sleep 0.05
done
[[ $left -eq 0 ]] || fail "processes are left of ${ranks[*]} ${cells[*]}"
[[ $(wc -l <long.partial) -eq 1 && ! -e long.csv ]] || fail "$(ls) $(cat long.partial)"
