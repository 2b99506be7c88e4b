#!/usr/bin/env bash
# An input larger than its enclave's memory is computed on all the same: it stays sealed on the host's disk, is read as the
# computation needs it, and no file of it remains. Neither sealing nor computing takes more memory for more of it. By default CSV of
# 55 MB, with a unit column, so that rows are kept and sorted, and Parquet of 242 MB. PERIGEE_PARQUET_ROWS=n: Parquet of n rows, 105
# bytes each, a row a unit: 100000000 are 10 GB, and need 40 GB of disk.
set -euo pipefail
# Every enclave has the least memory there may be: a third of it is left for plaintext and computing.
start() {
    sed -i 's/memory_mb: .*/memory_mb: 384/' "$1/perigee.yaml"
    "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 &
    node[$1]=$!
}
parquet_rows=${PERIGEE_PARQUET_ROWS:-0}
row_count_of() {
    case $1-$parquet_rows in
        a-0) echo 4000000 ;;
        b-0) echo 100000 ;;
        a-*) echo "$parquet_rows" ;;
        b-*) echo 40 ;;
    esac
}
rows_of() { seq "$(row_count_of "$1")" | awk -v name="$1" '{ printf "%s%d,%s,%d\n", name, $1, $1 % 2 ? "m" : "f", 41 + ($1 - 1) % 40 }'; }
# make_parquet NAME COLUMNS GROUP_ROWS: twice so many more columns, which nobody asks for, between those that are read.
make_parquet() {
    "${PERIGEE_BUILD_DIR:?}/tests/duckdb" "COPY (SELECT '$1' || i AS id, $(seq -f 'random() AS x%g' -s ', ' "$2"),
        CASE i % 2 WHEN 0 THEN 'm' ELSE 'f' END AS sex, $(seq -f 'random() AS y%g' -s ', ' "$2"), CAST(41 + i % 40 AS INTEGER) AS age
        FROM range($(row_count_of "$1")) t(i)) TO '$1.parquet' (FORMAT parquet, ROW_GROUP_SIZE $3)"
}
is_parquet() { [[ $1 == b && $parquet_rows -eq 0 || $1 == a && $parquet_rows -gt 0 ]]; }
table_of() { is_parquet "$1" && echo "$1.parquet" || echo "$1.csv"; }
make_table() {
    if ! is_parquet "$1"; then
        { echo id,sex,age; rows_of "$1"; } >"$1.csv"
    elif [[ $1 == a ]]; then
        make_parquet a 6 122880
    else
        make_parquet b 150 2048 # wide, in small groups: most of it is opened
    fi
}
[[ $parquet_rows -eq 0 ]] || unit=""
# What sealing had of its own, again and again: pages of the store's file, which the system takes back as it likes, are not counted.
watch_seal() {
    "$@" &
    local pid=$!
    while awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null; do sleep 0.02; done >>sealing
    wait $pid
}
sealer=watch_seal
source "$(dirname "$0")/../consortium.sh"

bytes=$(($(stat -c %s "$(table_of a)") + $(stat -c %s "$(table_of b)")))
[[ $bytes -gt $((200 << 20)) ]] || fail "$bytes bytes are not large"
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
node[watcher]=$! # so that it ends with the nodes if this fails
began=$SECONDS
"$PERIGEE" run request --data lab --workflow "$workflow" --slot 1 --wait --json >run.json ||
    fail "the run did not settle: $(cat run.json)"
took=$((SECONDS - began))
kill "${node[watcher]}" && wait "${node[watcher]}" || true
unset 'node[watcher]'
run=$(jq -rs 'last.run' run.json)
[[ $(as lab state run show "$run") == settled ]] || fail "$("$PERIGEE" run show --data lab "$run")"
# at_most KIB FILE WHAT: the largest of these is no more, however large the input is. Leaves it in $most.
at_most() {
    most=$(sort -n "$2" | tail -1)
    [[ -n $most ]] || fail "nobody looked at what $3 has in memory"
    [[ $most -le $1 ]] || fail "$3 had $most KiB in memory over $bytes bytes, expected $1 at most"
}
worker_mib=256
[[ -z $unit ]] || worker_mib=320 # rows are kept, in a quarter at most of what the run has left
at_most $((worker_mib << 10)) resident "a worker"
echo "a run over $bytes bytes in enclaves of 384 MiB settled in $took s, term $(as lab term run show "$run"); no worker had more than $most KiB resident"
at_most $((192 << 10)) sealing "perigee seal"
echo "sealing them took $most KiB of its own at most"

# --- what a host can find afterwards ------------------------------------------------------------------------------------------
for name in gpu1 gpu2; do
    await '.[0].enclaves.running == 0' $name status
    [[ -z $(find $name -name 'spool*') ]] || fail "a spool remained in $name"
    for file in /proc/"${node[$name]}"/fd/*; do
        [[ $(readlink "$file") != *deleted* ]] || fail "$name holds $(readlink "$file") open"
    done
done
