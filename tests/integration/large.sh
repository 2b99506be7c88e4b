#!/usr/bin/env bash
# An input larger than its enclave's memory is computed on all the same: it stays sealed on the host's disk, is read as the
# computation needs it, and no file of it remains. By default CSV, with a unit column, so that rows are kept and sorted.
# PERIGEE_PARQUET_ROWS=n: Parquet of n rows, 105 bytes each, a row a unit: 100000000 are 10 GB, and need 40 GB of disk.
set -euo pipefail
# Every enclave has the least memory there may be: a third of it is left for plaintext and computing.
start() {
    sed -i 's/memory_mb: .*/memory_mb: 384/' "$1/perigee.yaml"
    "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 &
    node[$1]=$!
}
parquet_rows=${PERIGEE_PARQUET_ROWS:-0}
row_count_of() { [[ $1 == b ]] && echo 40 || { [[ $parquet_rows -eq 0 ]] && echo 4000000 || echo "$parquet_rows"; }; }
rows_of() { seq "$(row_count_of "$1")" | awk -v name="$1" '{ printf "%s%d,%s,%d\n", name, $1, $1 % 2 ? "m" : "f", 41 + ($1 - 1) % 40 }'; }
if [[ $parquet_rows -gt 0 ]]; then
    unit=""
    table_of() { [[ $1 == a ]] && echo a.parquet || echo b.csv; }
    make_table() {
        [[ $1 == b ]] && { { echo id,sex,age; rows_of b; } >b.csv; return; }
        "${PERIGEE_BUILD_DIR:?}/tests/duckdb" "COPY (SELECT 'a' || i AS id, CASE i % 2 WHEN 0 THEN 'm' ELSE 'f' END AS sex,
            CAST(41 + i % 40 AS INTEGER) AS age, $(seq -f 'random() AS x%g' -s ', ' 12)
            FROM range($parquet_rows) t(i)) TO 'a.parquet' (FORMAT parquet)"
    }
fi
source "$(dirname "$0")/../consortium.sh"

bytes=$(stat -c %s "$(table_of a)")
[[ $bytes -gt $((48 << 20)) ]] || fail "$bytes bytes are not large"
# The most that a worker has had resident, of those that these nodes start. One may end while it is looked at.
workers_of() { local child; for child in $(pgrep -P "$1"); do echo "$child"; workers_of "$child"; done; }
watch_workers() {
    while sleep 0.2; do
        for pid in $(workers_of "${node[gpu1]}") $(workers_of "${node[gpu2]}"); do
            awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true
        done
    done >resident
}
watch_workers &
watcher=$!
began=$SECONDS
"$PERIGEE" run request --data lab --workflow "$workflow" --slot 1 --wait --json >run.json ||
    fail "the run did not settle: $(cat run.json)"
took=$((SECONDS - began))
kill $watcher
wait $watcher || true
run=$(jq -rs 'last.run' run.json)
[[ $(as lab state run show "$run") == settled ]] || fail "$("$PERIGEE" run show --data lab "$run")"
echo "a run over $bytes bytes in enclaves of 384 MiB settled in $took s, term $(as lab term run show "$run"); no worker had more than $(sort -n resident | tail -1) KiB resident"

# --- what a host can find afterwards ------------------------------------------------------------------------------------------
for name in gpu1 gpu2; do
    await '.[0].enclaves.running == 0' $name status
    [[ -z $(find $name -name 'spool*') ]] || fail "a spool remained in $name"
    for file in /proc/"${node[$name]}"/fd/*; do
        [[ $(readlink "$file") != *deleted* ]] || fail "$name holds $(readlink "$file") open"
    done
done
