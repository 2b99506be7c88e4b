#!/usr/bin/env bash
# The disk of a node that is owner and custodian is full, read-only, or bears damaged pages: it goes on or refuses, says why, and
# what it acknowledged is there afterwards; the others go on; nobody signs two records in one place. `no-fork`, `converge`, `live`.
# The small disk is a tmpfs in a mount namespace of the test's own.
set -euo pipefail
if [[ -z ${PERIGEE_OWN_MOUNTS:-} ]]; then
    how=--mount
    [[ $(id -u) -eq 0 ]] || how="--mount --user --map-root-user"
    if ! unshare $how sh -c 'mount -t tmpfs tmpfs /mnt' 2>/dev/null; then
        echo "SKIPPED: this system gives no mount namespace"
        exit 77
    fi
    PERIGEE_OWN_MOUNTS=1 exec unshare $how bash "$0"
fi
founders="a b gpu2"
source "$(dirname "$0")/../consortium.sh"
trap 'umount -l "$tmp/disk" 2>/dev/null || true; stop_all' EXIT
slot=0
ask() {
    slot=$((slot + 1))
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
}
settled() { await '.[0].state == "settled" and .[0].output != null' lab run show "$run"; }
all=(a b lab gpu1 gpu2)
alike() {
    local name records
    await ".[0].records >= $(as b records status)" a status
    records=$(as a records status)
    for name in "${all[@]}"; do await ".[0].records == $records" "$name" status; done
    if grep -l equivocation ./*.log; then fail "a node signed two records in one place"; fi
}
said=()
# acknowledged NODE NAME: a record of this name, which must not be lost.
acknowledged() {
    sed "s/$1-cohort/$2/" "$1.yaml" >more.yaml
    said+=("$(as "$1" dt asset register more.yaml)")
    [[ ${said[-1]} == dt:* ]] || fail "$1 does not acknowledge $2"
}
kept() { local dt; for dt in "${said[@]}"; do await "any(.[]; .dt == \"$dt\")" b asset list; done; }
in_touch() { await '.[0] | .member and (.isolated | not)' b status; }
kill9() {
    kill -9 "${node[$1]}"
    wait "${node[$1]}" 2>/dev/null || true
}

# --- b's data moves to a small disk -------------------------------------------------------------------------------------------------
stop b
mkdir disk
mount -t tmpfs -o size=24m tmpfs disk
cp -a b disk/b
rm -r b
ln -s disk/b b
start b
in_touch
acknowledged b before-it-is-full
ask
settled

# --- full: nothing is taken that cannot be kept, and what is there is served -----------------------------------------------------------
dd if=/dev/zero of=disk/rest bs=64k 2>/dev/null || true
more() {
    sed "s/b-cohort/full-$1/" b.yaml >more.yaml
    "$PERIGEE" asset register --data b --json more.yaml 2>err
}
taken=0
# What is left in the file itself, and pages that a start finds free, are used up first; what is taken is kept.
fill() {
    local i
    for i in $(seq 2000); do
        more "$1-$i" >out || return 0
        taken=$((taken + 1))
        said+=("$(jq -r .dt out)")
    done
}
fill once
grep -qi "full" err || fail "a full disk is not said: $(cat err)"
refused 1 '/identity.key: the disk or a quota is full' init --data disk/no_room --organisation x-org --jurisdiction CH --roles owner
[[ $taken -lt 2000 ]] || fail "the disk is not full: nothing was tested"
acknowledged a while-another-is-full
ask
settled # two others vote, and b's ciphertext is served from the full disk
as b node status >/dev/null || fail "b does not answer any more"
kill9 b
start b
in_touch
fill again
grep -qi "full" err || fail "b takes what it cannot keep: $(cat err)"
rm disk/rest
until more later >out; do sleep 0.05; done
said+=("$(jq -r .dt out)")
kept
ask
settled
alike

# --- read-only: refused at the start, in words, and the others go on ---------------------------------------------------------------------
stop b
mount -o remount,ro disk
"$PERIGEE" node --data b >out 2>err && fail "a node starts on a disk it cannot write"
grep -qi "read-only" err || fail "a read-only disk is not said: $(cat err)"
acknowledged a while-another-is-read-only
mount -o remount,rw disk
start b
in_touch
kept

# --- damaged: a page at a time is zeroed, flipped or half old; it refuses or goes on, but never says anything twice -------------------------
ask
settled
alike
stop b
cp -a disk/b good
pages=$(($(stat -c %s good/store/data.mdb) / 4096))
RANDOM=${PERIGEE_SEED:-1}
rounds=${PERIGEE_ROUNDS:-12}
refused=0
went=0
damage() {
    local page=$((2 + (RANDOM * 32768 + RANDOM) % (pages - 2))) file=disk/b/store/data.mdb
    case $(($1 % 3)) in
    0) dd if=/dev/zero of=$file bs=4096 seek=$page count=1 conv=notrunc 2>/dev/null ;;
    1) dd if=$file bs=4096 skip=$page count=1 2>/dev/null | tr '\000-\377' '\200-\377\000-\177' |
        dd of=$file bs=4096 seek=$page conv=notrunc 2>/dev/null ;;
    2) dd if=$file bs=2048 skip=$((2 * page - 2)) count=1 2>/dev/null |
        dd of=$file bs=2048 seek=$((2 * page)) conv=notrunc 2>/dev/null ;;
    esac
}
for round in $(seq "$rounds"); do
    rm -rf disk/b
    cp -a good disk/b
    damage "$round"
    : >b.log
    start b
    until "$PERIGEE" status --data b --json >out 2>/dev/null || ! kill -0 "${node[b]}" 2>/dev/null; do sleep 0.02; done
    if kill -0 "${node[b]}" 2>/dev/null; then
        went=$((went + 1))
        for dt in "${said[@]}"; do await "any(.[]; .dt == \"$dt\")" b asset list; done
        stop b
    else
        code=0
        wait "${node[b]}" || code=$?
        [[ $code -eq 1 ]] || fail "damaged in round $round: exit $code"
        grep -qi "damaged\|corrupt" b.log || fail "round $round: damage is not said: $(cat b.log)"
        refused=$((refused + 1))
    fi
    acknowledged a "while-another-is-damaged-$round"
done
[[ $refused -gt 0 && $went -gt 0 ]] || fail "of $rounds damaged stores $refused were refused, $went not: one way was not tested"

# --- a damaged chunk is not served: its owner seals again ------------------------------------------------------------------------------------
rm -rf disk/b
cp -a good disk/b
at=$(grep -abo '"perigee":"manifest/1"' disk/b/store/data.mdb | head -n 1 | cut -d: -f1)
printf X | dd of=disk/b/store/data.mdb bs=1 seek="$at" conv=notrunc 2>/dev/null
start b
in_touch
ask
until grep -qF "quarantined: seal that dataset again" b.log; do sleep 0.05; done
[[ $(as lab state run show "$run") != settled ]] || fail "a run settled on a damaged chunk"
"$PERIGEE" seal --data b --asset "${dataset[b]}" --in b.csv --workflow "$workflow" >/dev/null
ask
settled
kept
alike
for name in "${!node[@]}"; do stop "$name"; done
echo "a full disk took $taken records more; of $rounds damaged stores $refused were refused, $went went on; ${#said[@]} records acknowledged and kept"
echo passed
