#!/usr/bin/env bash
# An input larger than its enclave's memory is computed on all the same: it stays sealed on the host's disk, is read as the
# computation needs it, and no file of it remains.
set -euo pipefail
# Every enclave has the least memory there may be: a third of it is left for plaintext and computing.
start() {
    sed -i 's/memory_mb: .*/memory_mb: 384/' "$1/perigee.yaml"
    "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 &
    node[$1]=$!
}
row_count_of() { [[ $1 == a ]] && echo 4000000 || echo 40; }
rows_of() { seq "$(row_count_of "$1")" | awk -v name="$1" '{ printf "%s%d,%s,%d\n", name, $1, $1 % 2 ? "m" : "f", 41 + ($1 - 1) % 40 }'; }
source "$(dirname "$0")/../consortium.sh"

bytes=$(stat -c %s a.csv)
[[ $bytes -gt $((48 << 20)) ]] || fail "$bytes bytes are not large"
"$PERIGEE" run request --data lab --workflow "$workflow" --slot 1 --wait --json >run.json ||
    fail "the run did not settle: $(cat run.json)"
run=$(jq -rs 'last.run' run.json)
[[ $(as lab state run show "$run") == settled ]] || fail "$("$PERIGEE" run show --data lab "$run")"
echo "a run over $bytes bytes in enclaves of 384 MiB settled"

# --- what a host can find afterwards ------------------------------------------------------------------------------------------
for name in gpu1 gpu2; do
    await '.[0].enclaves.running == 0' $name status
    [[ -z $(find $name -name 'spool*') ]] || fail "a spool remained in $name"
    for file in /proc/"${node[$name]}"/fd/*; do
        [[ $(readlink "$file") != *deleted* ]] || fail "$name holds $(readlink "$file") open"
    done
done
