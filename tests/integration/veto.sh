#!/usr/bin/env bash
# An owner's veto on real nodes: a dataset sealed with --owner-veto is computed on while its owner's node gives its half of the
# key, which the receipt shows; where both owners keep one, both halves are needed. One of the owners and the requester are small machines.
set -euo pipefail
tests=$(dirname "${BASH_SOURCE[0]}")/..
source "$tests/nodes.sh"
eval "plain_$(declare -f init)"
init() {
    plain_init "$@"
    case $1 in b | lab) echo 'profile: light' >>"$1/perigee.yaml" ;; esac
}
source "$tests/consortium.sh"
for name in b lab; do
    grep -q '^profile  *light' <<<"$("$PERIGEE" status --data $name)" || fail "$name does not say that it is light"
    [[ $("$PERIGEE" status --data $name --json | jq -r .profile) == light ]] || fail "nor does its API"
done
metrics_of() { curl -s --unix-socket "$1/api.sock" http://localhost/metrics; }
grep -q '^perigee_peers_max 64$' <<<"$(metrics_of b)" || fail "b has other places than it should"
grep -q '^perigee_peers_max 256$' <<<"$(metrics_of a)" || fail "a has other places than it should"

consortium=$(as lab consortium status)
# settles SLOT HALVES: a run there, and so many owners' halves in its receipt.
settles() {
    local run
    run=$(as lab run run request --workflow "$workflow" --slot "$1")
    await '.[0].state == "settled"' lab run show "$run"
    rm -f receipt.json
    "$PERIGEE" run receipt --data lab --out receipt.json "$run" >/dev/null
    "$PERIGEE" verify receipt.json --consortium "$consortium" >verified || fail "slot $1: $(cat verified)"
    grep -q "ok  releases .* and $2 by owners" verified || fail "slot $1: expected $2 halves in $(cat verified)"
}
# The owner seals anew, and everybody knows of it.
veto() {
    "$PERIGEE" seal --data "$1" --asset "${dataset[$1]}" --in "$1.csv" --workflow "$workflow" --owner-veto >sealed
    local manifest
    manifest=$(awk '/^manifest/ { print $2 }' sealed)
    for name in a b lab gpu1 gpu2; do
        until curl -s --unix-socket "$name/api.sock" "http://localhost/v1/assets/${dataset[$1]}" | grep -q "$manifest"; do
            sleep 0.05
        done
    done
}

veto b
settles 1 1
grep -q 'released its half of a key' b.log || fail "b's node does not say what it gave"
! grep -q 'released its half of a key' a.log || fail "a keeps no veto and gave a half"
veto a
settles 2 2
echo "ok: a run with one owner's half, and one with both"
