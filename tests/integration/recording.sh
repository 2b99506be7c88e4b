#!/usr/bin/env bash
# Replay from the field: five nodes record a study, two are killed with -9 and started again, and `perigee sim --replay` steps a core by
# every file to the same state. No key, row, share or token is in any. What the file of the process before becomes, and what a disk that
# cannot be written to costs: a line in the log.
set -euo pipefail
id_of_row() { echo "canary-$1-$(sha256sum <<<"row $1 $2" | cut -c1-16)"; }
tests=$(cd "$(dirname "$0")/.." && pwd)
leak=$PERIGEE_BUILD_DIR/tests/leak
source "$tests/nodes.sh"
eval "plain_$(declare -f init)"
init() {
    plain_init "$@"
    echo 'recording: { file: node.recording, mb: 64 }' >>"$1/perigee.yaml"
    [[ $1 != lab ]] || echo 'profile: light' >>"$1/perigee.yaml"
}
founders="a b lab"
source "$tests/consortium.sh"

# --- a study; a custodian and a compute node are killed on the way -----------------------------------------------------------------
settled() { await '.[0].state == "settled"' lab run show "$1"; }
run=$(as lab run run request --workflow "$workflow" --slot 1)
quick=1 await '.[0].state | . != "requested" and . != "eligible"' lab run show "$run"
"$PERIGEE" token create --data a --name dashboard --scopes monitor --out token >/dev/null
for name in b gpu1; do
    kill -KILL "${node[$name]}"
    wait "${node[$name]}" 2>/dev/null || true
    [[ $(stat -c %a $name/node.recording) == 600 ]] || fail "$name: the recording is not mode 0600"
    start $name
done
for name in b gpu1; do await '.[0].peers | map(select(.up)) | length == 4' $name status; done
settled "$run"
stop a # with a token among what its store gives back
start a
await '.[0].peers | map(select(.up)) | length == 4' a status
second=$(as lab run run request --workflow "$workflow" --slot 2)
settled "$second"

# --- one that still records can be replayed, up to where it is ---------------------------------------------------------------------
cp lab/node.recording torn
"$PERIGEE" sim --replay torn --json >out || fail "a recording that goes on does not replay"
jq -e '.end == "cut short"' out >/dev/null || fail "it does not say that it was cut short: $(cat out)"

for name in a b lab gpu1 gpu2; do stop "$name"; done

# --- all of them come to the same --------------------------------------------------------------------------------------------------
same() { # same FILE END: replayed, to how it ends
    "$PERIGEE" sim --replay "$1" --json >out 2>err || fail "$1 does not replay to the same: $(cat err)"
    jq -e --arg how "$2" '.end == $how and (.checkpoints >= 1 or .end == "cut short")' out >/dev/null || fail "$1: expected $2: $(cat out)"
}
declare -A root
for name in a b lab gpu1 gpu2; do
    same $name/node.recording "in order"
    root[$name]=$(jq -r .root out)
    jq -e --arg run "$second" 'any(.runs[]; .run == $run and .state == "settled")' out >/dev/null || fail "$name: the second run is not settled in: $(cat out)"
done
for name in b gpu1; do same $name/node.recording.before "cut short"; done
same a/node.recording.before "in order"
for name in b lab gpu1 gpu2; do [[ ${root[$name]} == "${root[a]}" ]] || fail "$name and a held other records at the end"; done
"$PERIGEE" sim --replay a/node.recording >out || fail "the report for people: exit $?"
grep -q '^the same at [1-9][0-9]* checkpoints$' out || fail "no word of checkpoints in: $(cat out)"
code=0
"$PERIGEE" sim --replay a/node.recording >/dev/full 2>err || code=$?
[[ $code -eq 1 && $(wc -l <err) -eq 1 ]] && grep -q 'standard output could not be written' err || fail "a full stdout: exit $code, $(cat err)"

# --- and hold nothing that is secret -----------------------------------------------------------------------------------------------
for name in a b; do for i in $(seq 40); do
    echo "row $name $(printf %s "$(id_of_row $name "$i")" | od -An -v -tx1 | tr -d ' \n')"
done; done >canaries
"$leak" keys a b lab gpu1 gpu2 >>canaries || fail "the secrets cannot be had"
for kind in row key share data-key; do grep -q "^$kind " canaries || fail "no $kind to look for"; done
echo "token a $(tr -d "\n" <token | tail -c 40 | od -An -v -tx1 | tr -d " \n")" >>canaries
"$leak" find canaries */node.recording* >found || fail "a secret is recorded: $(head -n 3 found)"
echo "public x $(sha256sum <charter.json | cut -d' ' -f1)" >one
"$leak" find one a/node.recording >found && code=0 || code=$?
[[ $code -eq 1 ]] || fail "not even the public id of the consortium is found in a recording"

# --- what is not what was written is seen ------------------------------------------------------------------------------------------
size=$(stat -c %s a/node.recording)
cp a/node.recording flipped
printf '\xff' | dd of=flipped bs=1 seek=$((size / 2)) conv=notrunc status=none
cmp -s a/node.recording flipped && printf '\x00' | dd of=flipped bs=1 seek=$((size / 2)) conv=notrunc status=none
refused 1 "its check does not hold" sim --replay flipped
head -c $((size - 3)) a/node.recording >torn
same torn "cut short"
jq -e '.unread_bytes > 0' out >/dev/null || fail "it does not say what it left unread"
sed '1s/2$/1/' a/node.recording >other
refused 1 "another version" sim --replay other
refused 1 "expected a recording" sim --replay charter.json
: >empty
refused 1 "expected a recording" sim --replay empty
refused 1 "no-such-file" sim --replay no-such-file
refused 3 "takes nothing beside it" sim --replay a/node.recording --seed 1

# --- a node that cannot record is a node ---------------------------------------------------------------------------------------------
rm a/node.recording
mkdir a/node.recording
start a
await '.[0].member' a status
grep -q 'event=recording.stopped' a.log || fail "no word of it in the log"
stop a
rmdir a/node.recording
sed -i 's/mb: 64/mb: 1/' a/perigee.yaml
start a
await '.[0].member' a status
stop a
[[ $(stat -c %s a/node.recording) -le $((1 << 20)) ]] || fail "the file is larger than it may be"
same a/node.recording "$(grep -q 'as large as recording.mb' a.log && echo full || echo 'in order')"
echo "$(grep -c . canaries) canaries, $(cat ./*/node.recording* | wc -c) bytes recorded: none found"
echo passed
