#!/usr/bin/env bash
# What an operator needs of a real node: it ends in order however early it is told to, says whether it is healthy and what it
# counts.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../nodes.sh"

# get NODE PATH [CURL WORD...]: the body goes to out, the status is printed.
get() {
    local name=$1 path=$2
    shift 2
    curl -sS --unix-socket "$name/api.sock" -o out -w '%{http_code}' "$@" "http://node$path"
}
# has TEXT: in what came last.
has() { grep -qF -- "$1" out || fail "expected '$1' in: $(cat out)"; }
# value NAME: of a metric that came last.
value() { grep -F -- "$1 " out | grep -v '^#' | sed 's/.* //'; }

init a a-org owner,custodian,steward,requester CH b
init b b-org owner,custodian,steward CH a
"$PERIGEE" consortium new --name operations --out charter.json a/card.json b/card.json >/dev/null
for name in a b; do "$PERIGEE" consortium join --data $name charter.json >/dev/null; done

# --- words that are missing or wrong ---------------------------------------------------------------------------------------
refused 3 'expected RUN, came no such word: perigee run why --data DIR RUN' run why --data a
refused 3 'expected CARD..., came no such word' consortium new --name x --out y
refused 3 'expected FILE, came no such word' backup --data a
for lease in 0 1 99 3600001; do
    refused 3 "--lease-ms: expected a number from 100 to 3600000, got \"$lease\"" consortium new --name x --lease-ms $lease --out y a/card.json
done
refused 3 '--rank-delay-ms: expected a number from 1 to 60000' consortium new --name x --rank-delay-ms 60001 --out y a/card.json
refused 3 '--skew-max-ms: expected a number from 1 to 3600000' consortium new --name x --skew-max-ms 3600001 --out y a/card.json
dt=dt:perigee:$(printf 'ab%.0s' {1..32})
refused 3 '--jurisdiction: expected codes such as CH,EU, got none' seal --data a --asset "$dt" --in charter.json --jurisdiction ''
for epsilon in 0 0.0 ''; do
    refused 3 '--epsilon: expected more than 0' grant --data a --asset "$dt" --to "$dt" --op "${dt#dt:perigee:}" --slots 1 --epsilon "$epsilon"
done
refused 3 'expected --out FILE' approval key --out ''
refused 1 'nowhere/key: no such file or folder' approval key --out nowhere/key
mkfifo pipe
refused 1 'pipe: expected a regular file' restore --data c pipe
code=0
"$PERIGEE" op templates >/dev/full 2>out || code=$?
[[ $code -eq 1 ]] && has 'standard output could not be written' || fail "a full disk took what was said: exit $code"
"$PERIGEE" op templates | head -1 >/dev/null || fail "who has read enough is no full disk"
"$PERIGEE" help consortium new | grep -q -- '--lease-ms N' || fail "the help leaves out --lease-ms"
code=0
"$here/../../dev" bulid >out 2>&1 || code=$?
[[ $code -eq 3 && $(head -1 out) == "dev: unknown command 'bulid'; did you mean build?" ]] || fail "./dev: $code: $(cat out)"

# --- a signal before anything is opened -----------------------------------------------------------------------------------
# The signal comes in the call that locks the data directory: nothing has been opened by then.
cat >early.c <<'C'
#define _GNU_SOURCE
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
int flock(int fd, int operation)
{
    raise(SIGTERM);
    return (int)syscall(SYS_flock, fd, operation);
}
C
"${CC:-cc}" -shared -fPIC -o early.so early.c
code=0
LD_PRELOAD=$tmp/early.so ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" \
    "$PERIGEE" node --data a >early.log 2>&1 || code=$?
[[ $code -eq 0 ]] || fail "SIGTERM while the data directory is being locked: exit $code: $(cat early.log)"
grep -q "stopping on SIGTERM" early.log || fail "it did not end in order: $(cat early.log)"

# --- health -----------------------------------------------------------------------------------------------------------------
echo "duckdb: $tmp/nowhere.so" >>a/perigee.yaml
start a
await '.[0].peers | length == 0' a status
grep -q "event=duckdb.missing .*$tmp/nowhere.so" a.log || fail "no word of a library that is not there: $(cat a.log)"
sed -i '/^duckdb:/d' a/perigee.yaml
[[ $(get a /healthz) -eq 503 && $(jq .healthy out) == false ]] || fail "alone it is no healthy custodian of two: $(cat out)"
jq -e '.reason == "unhealthy" and (.detail | startswith("custodians: expected links to at least 2 of 2")) and
    (.parts | map(select(.good | not) | .part) | index("custodians") != null) and
    (.parts | map(select(.part == "store")) | .[0].good)' out >/dev/null || fail "503 does not say which part: $(cat out)"
start b
for name in a b; do await '.[0].peers | map(select(.up)) | length == 1' $name status; done
for name in a b; do await '.[0].isolated | not' $name status; done
[[ $(get a /healthz) -eq 200 ]] || fail "linked to its fellow it is healthy: $(cat out)"
jq -e '.healthy and (.parts | all(.good))' out >/dev/null || fail "not all is well in: $(cat out)"

# --- metrics ----------------------------------------------------------------------------------------------------------------
[[ $(get a /metrics -D head) -eq 200 ]] || fail "no metrics: $(cat out)"
grep -qi '^content-type: text/plain; version=0.0.4' head || fail "not Prometheus' type: $(cat head)"
has 'perigee_build_info{version="'"$("$PERIGEE" --version | cut -d' ' -f2)"'"} 1'
[[ $(value 'perigee_records{kind="charter"}') -eq 0 && $(value perigee_links) -eq 1 ]] || fail "wrong figures: $(cat out)"
[[ $(value process_resident_memory_bytes) -gt 1000000 && $(value perigee_store_quota_bytes) -gt 0 ]] ||
    fail "wrong figures: $(cat out)"
# Every series has a help line, a type and a number; none is there twice.
awk '/^# HELP/ { help[$3] } /^# TYPE/ { type[$3] } /^[^#]/ { name = $1; sub(/\{.*/, "", name)
    if (!(name in help) || !(name in type) || $1 in seen || $NF !~ /^-?[0-9]+(\.[0-9]+)?$/) { print; bad = 1 } seen[$1] }
    END { exit bad }' out >bad || fail "no Prometheus text: $(cat bad)"

# --- what is asked for twice with one key is done once ------------------------------------------------------------------------
post() { # post STATUS PATH KEY BODY
    got=$(get a "$2" -H "Idempotency-Key: $3" --json "$4")
    [[ $got -eq $1 ]] || fail "$2 with key $3: expected $1, came $got: $(cat out)"
}
tokens() { "$PERIGEE" token list --data a --json | wc -l; }
post 200 /v1/tokens k-1 '{"name":"once","scopes":["read"]}'
has '"token":"pgt_'
post 409 /v1/tokens k-1 '{"name":"once","scopes":["read"]}' # its secret is shown once
has 'that answer is not kept'
post 422 /v1/tokens k-1 '{"name":"other","scopes":["read"]}'
[[ $(tokens) -eq 1 ]] || fail "made $(tokens) tokens"
post 400 /v1/tokens k-2 '{"name":"none","scopes":[]}'
post 400 /v1/tokens k-2 '{"name":"none","scopes":[]}'
id=$("$PERIGEE" token list --data a --json | jq -r .id)
post 200 "/v1/tokens/$id/revoke" k-3 '{}'
post 200 "/v1/tokens/$id/revoke" k-3 '{}' # the first answer again, not "unknown"
post 404 "/v1/tokens/$id/revoke" k-4 '{}'

# --- events, followed while things happen -------------------------------------------------------------------------------------
# until_in FILE TEXT: it stands there.
until_in() {
    for _ in $(seq 1200); do
        grep -qF -- "$2" "$1" && return
        sleep 0.02
    done
    fail "'$2' never came in $1: $(cat "$1")"
}
follow() { # follow FILE WORD...: events of a, in the background, from where it is on
    local file=$1
    shift
    "$PERIGEE" events --data a --json "$@" >"$file" 2>"$file.err" &
    followers+=($!)
}
followers=()
curl -sN --unix-socket a/api.sock http://node/v1/events >raw &
followers+=($!)
until_in raw 'id: '
follow all
follow none --run "$(printf 'ab%.0s' {1..32})"
until [[ $(curl -s --unix-socket a/api.sock http://node/metrics | awk '/^perigee_event_followers / { print $2 }') -eq 3 ]]; do sleep 0.02; done
for name in a b; do "$PERIGEE" consortium sign --data $name >/dev/null; done
until_in raw '"kind":"charter"'
until_in all '"kind":"charter"'
[[ ! -s none ]] || fail "events of no run came for one: $(cat none)"
# That it is well again may come between: health is looked at now and then.
jq -es 'all(.[]; .event == "alert" or .event == "record" and (.data.record | length == 64)) and any(.[]; .event == "record")' all >/dev/null ||
    fail "not as written: $(cat all)"
first=$(sed -n 's/^id: //p' raw | head -1)
follow again --since "$first"
until_in again '"kind":"charter"'
grep -qxF -- "$(head -1 all)" again || fail "it does not go on behind $first: $(cat again)"
refused 3 'cannot stand in a request' events --data a --since "$(printf 'x%.0s' {1..64})"
[[ $(get a /v1/events -H "Last-Event-ID: $(printf 'x%.0s' {1..64})") -eq 400 ]] || fail "an id without end was taken: $(cat out)"
[[ $(get a /v1/events?run=x) -eq 400 ]] || fail "a run that is none was taken: $(cat out)"
for name in a b; do await '.[0].charter.decided' $name status; done
refused 1 nothing-to-revoke revoke --data a --workflow "$(printf 'ab%.0s' {1..32})"
get a /metrics >/dev/null
[[ $(value 'perigee_records{kind="charter"}') -eq 2 ]] || fail "two charter records are there: $(cat out)"
series=$(grep -vc '^#' out)
[[ $series -lt 200 ]] || fail "$series series"
# What strangers say becomes no label.
get a '/v1/x%20stranger' >/dev/null
get a /metrics >/dev/null
! grep -q stranger out || fail "a label from a request: $(grep stranger out)"
[[ $(value 'perigee_api_answers_total{status="4xx"}') -ge 1 ]] || fail "refusals are not counted: $(cat out)"

# An alert when a part fails; a stream that ends with the node, and goes on with `reset` in the next process.
stop b
until_in all '"good":false,"part":"custodians"'
start b
until_in all '"good":true,"part":"custodians"'
[[ $(grep -c 'well again' a.log || true) -le $(grep -c 'not well' a.log || true) ]] ||
    fail "it says that it is well again, and never said that it was not: $(cat a.log)"
stop a
for pid in "${followers[@]}"; do wait "$pid" || true; done
grep -q 'has ended the stream' all.err || fail "its end is not said: $(cat all.err)"
start a
await '.[0].node != null' a status
followers=()
follow later --since "$first"
until_in later '"event":"reset"'
kill "${followers[@]}"
wait "${followers[@]}" || true

# --- a custodian's key shares ---------------------------------------------------------------------------------------------------
for name in a b; do await '.[0].peers | map(select(.up)) | length == 1' $name status; done
await '.[0].key_shares == null' a status # nothing is expected yet
"$PERIGEE" consortium keygen --data a >/dev/null
for name in a b; do await '.[0].key_shares.good' $name status; done
# bad_share FILE WORDS: a says everywhere which file it is, and what came.
bad_share() {
    await ".[0].key_shares | (.good | not) and (.detail | contains(\"$1: expected\") and contains(\"$2\"))" a status
    "$PERIGEE" status --data a | grep -q "^key shares .*$1" || fail "status does not tell a person: $("$PERIGEE" status --data a)"
    [[ $(get a /healthz) -eq 503 ]] || fail "healthy without a key share: $(cat out)"
    jq -e --arg file "$1" 'any(.parts[]; .part == "key-shares" and (.good | not) and (.detail | contains($file)))' out >/dev/null ||
        fail "no part names the share: $(cat out)"
    get a /metrics >/dev/null
    [[ $(value perigee_key_shares_bad) -eq 1 ]] || fail "not in the figures"
    until_in a.log "event=keys.share-bad"
    grep 'event=keys.share-bad' a.log | tail -1 | grep -q "$1: expected.*$2" || fail "the log does not name it: $(cat a.log)"
}
good_share() { # for good, and no line for what was never bad
    await '.[0].key_shares.good' a status
    get a /metrics >/dev/null
    [[ $(value perigee_key_shares_bad) -eq 0 ]] || fail "still bad in the figures"
}
cp -r a/keygen keygen.a
mv a/keygen/1-1.share away # while it runs
bad_share keygen/1-1.share 'no such file'
mv away a/keygen/1-1.share
good_share
until_in a.log 'event=keys.shares-good'
stop a
cp b/keygen/1-2.share a/keygen/1-2.share # before it starts
start a
await '.[0].node != null' a status
bad_share keygen/1-2.share 'another key or seat'
cp keygen.a/1-2.share a/keygen/1-2.share
good_share
printf 'x' | dd of=a/keygen/1-2.share bs=1 seek=40 conv=notrunc status=none
bad_share keygen/1-2.share damaged
cp keygen.a/1-2.share a/keygen/1-2.share
chmod 644 a/keygen/1-1.share
bad_share keygen/1-1.share 'mode 0600'
chmod 600 a/keygen/1-1.share
good_share
# --- a node that stands still ---------------------------------------------------------------------------------------------------------
kill -STOP "${node[a]}"
code=0
timeout 60 "$PERIGEE" status --data a >out 2>err || code=$? # a read: it gives up long before a change would
timeout 60 "$PERIGEE" doctor --data a --json >found || true
kill -CONT "${node[a]}"
jq -es 'any(.[]; .check == "node" and .finding == "fail" and (.detail | contains("does not answer"))) and all(.[]; .check != "listen" and .check != "api-socket" and .check != "lock")' found >/dev/null ||
    fail "its doctor takes it for another process: $(cat found)"
[[ $code -eq 2 ]] || fail "a stopped node: exit $code: $(cat out err)"
grep -q 'does not answer, though its socket a/api.sock is there: it may be stopped or overloaded' err || fail "not said: $(cat err)"
grep -q 'may be made' err && fail "a read changes nothing: $(cat err)"
# --- one that ends while its owner waits for who has heard a revocation ---------------------------------------------------------
kill -STOP "${node[b]}" # linked, and it has not heard
"$PERIGEE" revoke --data a --all >out 2>err &
revoking=$!
until grep -q '^revoked, record' out; do
    kill -0 $revoking || fail "revoke ended: $(cat out err)"
    sleep 0.05
done
# ... and while it has a change before it that it never comes to: whether that was made stays open.
sockets_of() { find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n' | sort; }
connected() {
    local inode
    inode=$(comm -23 <(sockets_of "$1") <(sockets_of $$) | tail -n 1) # not one that it was born with
    awk -v inode="${inode:-none}" '$7 == inode && $6 == "03" { found = 1 } END { exit !found }' /proc/net/unix
}
kill -STOP "${node[a]}"
"$PERIGEE" revoke --data a --all >out2 2>err2 &
asking=$!
until connected $asking; do
    kill -0 $asking || fail "revoke ended: $(cat out2 err2)"
    sleep 0.02
done
kill -9 "${node[a]}"
code=0
wait $asking || code=$?
[[ $code -eq 2 ]] || fail "its node was killed: exit $code: $(cat out2 err2)"
grep -q 'it may have ended.*; the change that was asked for may be made all the same' err2 || fail "not said: $(cat err2)"
code=0
wait $revoking || code=$?
wait "${node[a]}" || true
unset "node[a]"
kill -CONT "${node[b]}"
stop b
[[ $code -eq 2 ]] || fail "its node was killed: exit $code: $(cat out err)"
grep -q "the revocation was made, record $(awk '/^revoked/ { print $3 }' out | tr -d ';')" err || fail "not said: $(cat err)"

# --- doctor says what the start would say -------------------------------------------------------------------------------------------
seen_of() { find a -type f ! -name lock.mdb -exec sha256sum {} + | sort | sha256sum; }
# doctor_says CHECK WORDS [OPTION...]: it fails by this, and changes nothing.
doctor_says() {
    local check=$1 words=$2 before code=0
    shift 2
    before=$(seen_of)
    "$PERIGEE" doctor --data a --json "$@" >out || code=$?
    [[ $code -eq 1 ]] || fail "doctor ends with $code where '$check: $words' is wrong: $(cat out)"
    jq -es --arg check "$check" --arg words "$words" \
        'any(.[]; .check == $check and .finding == "fail" and (.detail | contains($words)))' out >/dev/null ||
        fail "doctor does not say '$check: $words': $(cat out)"
    [[ $(seen_of) == "$before" ]] || fail "doctor changed something"
}
well() { "$PERIGEE" doctor --data a --store >out || fail "doctor of a sound node: $(cat out)"; }
well
for line in '^ok    keys .* open; those that card' '^ok    mark' '^ok    key-shares .*both keys'; do
    grep -q "$line" out || fail "expected '$line' in: $(cat out)"
done
cp -r a a.sound
sound() { # puts FILE back
    rm -rf "a/$1"
    cp -r "a.sound/$1" "a/$1"
}
flip() { printf "\\x$(od -An -tx1 -j"$2" -N1 "$1" | tr -d " " | tr 0-9a-f f0-9a-e)" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
for key in identity kem link dkg; do
    : >a/$key.key
    doctor_says keys "$key.key: expected this node's $key key"
    refused 1 "$key.key: expected this node's $key key" node --data a # the same words
    sound $key.key
    flip a/$key.key 40
    doctor_says keys "$key.key: expected this node's $key key"
    sound $key.key
    [[ $key != link ]] || continue
    cp b/$key.key a/$key.key
    doctor_says keys "$key.key: expected the key that card.json beside it speaks of"
    sound $key.key
done
rm a/link.key a/kem.key # all that is wrong, not the first
doctor_says keys link.key
jq -es 'any(.[]; .check == "keys" and (.detail | contains("kem.key")))' out >/dev/null || fail "only one key is named: $(cat out)"
sound link.key
sound kem.key
rm -r a/store
doctor_says mark store-lost
doctor_says store 'and there is none in it' --store
refused 1 'expected the store that this key has signed with' backup --data a none.backup # the same words
[[ ! -e none.backup ]] || fail "a backup without the store was kept"
mkdir -m 700 a/store
doctor_says mark store-lost
: >a/store/data.mdb
doctor_says store 'and there is none in it'
sound store
"$PERIGEE" backup --data a sound.backup --json 2>err | jq -e '.defects == 0' >/dev/null && [[ ! -s err ]] || fail "a sound store: $(cat err)"
sed -i 's/a-org/x-org/g' a/store/data.mdb
doctor_says rows defects --store
"$PERIGEE" backup --data a bad.backup >out 2>err || fail "a damaged store was not copied: $(cat err)"
grep -q 'the store that was copied is damaged: [1-9][0-9]* defects; `perigee doctor --data a --store` names them' err ||
    fail "backup is quiet about damage: $(cat err)"
"$PERIGEE" backup --data a bad2.backup --json | jq -e '.defects > 0' >/dev/null || fail "--json is quiet about damage"
sound store
rm a/keygen/1-2.share
doctor_says key-shares 'keygen/1-2.share: expected'
sound keygen
# stops CODE CHECK WORDS: doctor says it, and so does the start.
stops() {
    doctor_says "$2" "$3"
    refused "$1" "$3" node --data a
}
listens() { sed -i "s|^listen: .*|listen: \"$1\"|" a/perigee.yaml; } # where a does
listens tcp://999.1.1.1:7001
stops 1 listen 'tcp://999.1.1.1:7001: expected an address or a name of this machine'
listens tcp://192.0.2.1:7001
stops 1 listen 'tcp://192.0.2.1:7001: expected an address of this machine'
listens ipc:///nonexist/x.sock
stops 1 listen '/nonexist: expected a folder'
listens "ipc://$tmp"
stops 1 listen "$tmp: expected a socket or nothing there"
listens "ipc://$tmp/$(printf 'x%.0s' {1..100})"
stops 1 listen 'expected at most 107 bytes'
start b
await '.[0].node != null' b status
"$PERIGEE" doctor --data b >out || true
grep -q '^ok    listening .*the node that runs here' out || fail "a running node's own places are taken: $(cat out)"
listens "ipc://$tmp/b.link"
stops 75 listen 'another process listens there'
stop b
sound perigee.yaml
for name in lock api.sock api.sock.lock; do
    rm -f a/$name
    mkdir a/$name
    [[ $name == lock ]] && check=lock || check=api-socket
    stops 1 $check "a/$name: expected a"
    rmdir a/$name
done
echo mine >a/api.sock
stops 1 api-socket 'api.sock: expected a socket or nothing there'
rm a/api.sock
well
"$PERIGEE" consortium new --name other --out other.json a/card.json b/card.json >/dev/null
cp other.json a/charter.json
doctor_says consortium 'came another'
refused 1 'is not the charter' node --data a
sound charter.json
well
(umask 077; echo word >word; echo other >other)
"$PERIGEE" init --data sealed --organisation s-org --jurisdiction CH --roles owner --passphrase-file word >/dev/null
"$PERIGEE" doctor --data sealed >out || fail "doctor of sealed keys: $(cat out)"
grep -q '^warn  keys .*--passphrase-file' out || fail "sealed keys are called open: $(cat out)"
"$PERIGEE" doctor --data sealed --passphrase-file word | grep -q '^ok    keys' || fail "its passphrase does not open them"
"$PERIGEE" doctor --data sealed --passphrase-file other >out && fail "another passphrase opens them"
grep -q '^FAIL  keys .*identity.key: this passphrase' out || fail "not said: $(cat out)"
echo "operations: a node ends in order, says how it is, what it counts and what happens, and does what has a key once"
