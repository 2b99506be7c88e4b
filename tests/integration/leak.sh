#!/usr/bin/env bash
# no-plaintext-out, at the host: rows, data keys, shares and keys are looked for in everything that a run leaves or sends: files,
# frames between nodes and to enclaves (both recorded by tests/integration/leak.c), environment, command lines, memory of the
# nodes. First it is shown that the search finds each form of a planted one. Afterwards nothing of the run's enclave is left.
set -euo pipefail
declare -A dial listen
address_of() { echo "tcp://127.0.0.1:${dial[$1]}"; }
listen_of() { echo "tcp://127.0.0.1:${listen[$1]}"; }
id_of_row() { echo "canary-$1-$(sha256sum <<<"row $1 $2" | cut -c1-16)"; }
start() {
    if [[ -z ${node[tap-$1]:-} ]]; then
        "$leak" tap "${dial[$1]}" "${listen[$1]}" "$tmp/seen/link-$1" & node[tap-$1]=$!
    fi
    TMPDIR=$tmp/short PERIGEE_BWRAP=$tmp/bwrap "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 & node[$1]=$!
}
tests=$(cd "$(dirname "$0")/.." && pwd)
source "$tests/nodes.sh"
leak=$PERIGEE_BUILD_DIR/tests/leak
mkdir seen short planted
# What is planted is found, in every form: or finding nothing would mean nothing.
secret="canary-x-0123456789abcdef"
hex=$(printf %s "$secret" | od -An -v -tx1 | tr -d ' \n')
echo "row x $hex" >one
found() { { "$leak" find one "$2" || true; } | grep -q ", $1, in " || fail "a planted canary is not found: $1 in $2"; }
printf 'before %s after' "$secret" >planted/plain
printf 'before %s after' "$hex" >planted/hex
printf 'before %s after' "${hex^^}" >planted/HEX
for offset in "" x xy; do printf '%s%s after' "$offset" "$secret" | base64 -w0 >"planted/base64$offset"; done
printf 'before %s after' "$secret" | iconv -t utf-16le >planted/utf16
found "as it is" planted/plain
found hex planted/hex
found HEX planted/HEX
for offset in "" x xy; do found base64 "planted/base64$offset"; done
found utf-16 planted/utf16
found "as it is" planted
SECRET=$secret sleep 600 & node[planted]=$!
until tr '\0' '\n' <"/proc/${node[planted]}/environ" | grep -q "^SECRET="; do sleep 0.02; done
memory=true
"$leak" find one "pid:none:${node[planted]}" >/dev/null 2>&1 && code=0 || code=$?
[[ $code -ne 0 ]] || fail "a canary in memory is not found"
if [[ $code -eq 2 ]]; then
    memory=false
    echo "SKIPPED: memory of processes: this system does not let it be read"
fi
kill "${node[planted]}"
wait "${node[planted]}" 2>/dev/null || true
unset "node[planted]"
rm -r planted

# --- a run, seen from its hosts ------------------------------------------------------------------------------------------------
printf '#!/bin/sh\nexec "%s" worker "%s/seen/worker" "%s" "$@"\n' "$leak" "$tmp" "${PERIGEE_BWRAP:-$(command -v bwrap)}" >bwrap
chmod +x bwrap
for name in a b lab gpu1 gpu2; do
    dial[$name]=$(free_port)
    listen[$name]=$(free_port)
done
source "$tests/consortium.sh"
for name in a b; do for i in $(seq 40); do
    echo "row $name $(printf %s "$(id_of_row $name "$i")" | od -An -v -tx1 | tr -d ' \n')"
done; done >canaries
"$leak" keys a b lab gpu1 gpu2 >>canaries || fail "the secrets cannot be had"
for kind in row key share data-key; do grep -q "^$kind " canaries || fail "no $kind to look for"; done
names=(a b lab gpu1 gpu2)
# nothing_in WHAT WHERE...
nothing_in() {
    local what=$1
    shift
    "$leak" find canaries "$@" >out || fail "$what: $(head -n 3 out)"
}
in_memory() {
    local name
    $memory || return 0
    for name in "${names[@]}"; do nothing_in "memory of $name" "pid:$name:${node[$name]}"; done
}
looks=0
slot=0
until grep -qa enclave-worker seen/processes 2>/dev/null; do # a run may be over before one has looked
    slot=$((slot + 1))
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
    until [[ $(as lab state run show "$run") == settled ]]; do
        for name in "${names[@]}"; do for pid in ${node[$name]} $(descendants "${node[$name]}"); do
            cat "/proc/$pid/environ" "/proc/$pid/cmdline" >>"seen/processes" 2>/dev/null || true
        done; done
        looks=$((looks + 1))
        [[ $((looks % 8)) -ne 4 ]] || in_memory
    done
done
await '.[0].output != null' lab run show "$run"
in_memory
"$PERIGEE" run receipt --data lab "$run" --out seen/receipt.json >/dev/null

# --- nothing is left of its enclave ---------------------------------------------------------------------------------------------
for name in gpu1 gpu2; do
    await '.[0].enclaves.running == 0' $name status
    [[ -z $(descendants "${node[$name]}") ]] || fail "$name: an enclave's process is left: $(descendants "${node[$name]}")"
    ! find "/proc/${node[$name]}/fd" -lname '/memfd:*' | grep -q . || fail "$name holds a memfd"
done
[[ -z $(ls -A short) ]] || fail "files are left: $(ls short)"
for name in "${names[@]}"; do stop "$name"; done
for name in "${!node[@]}"; do
    kill "${node[$name]}"
    wait "${node[$name]}" 2>/dev/null || true
    unset "node[$name]"
done
nothing_in "files and frames" "${names[@]}" seen ./*.log

# --- and what was searched is what it should be -----------------------------------------------------------------------------------
for name in a b; do compgen -G "seen/link-$name.*" >/dev/null || fail "no frame of $name was recorded"; done
echo "public x $(sha256sum <charter.json | cut -d' ' -f1)" >one
"$leak" find one seen >out && fail "not even the public id of the consortium is found in what was recorded"
grep -q "in seen/worker" out || fail "what enclaves say was not recorded: $(cat out)"
# What nodes say to each other is not read on the way at all: not even the id that half of their messages carry. What is in those
# messages, as the other end has them, tests/integration/recording.sh searches.
! grep "in seen/link" out || fail "what nodes say to each other can be read on the way"
echo "$(grep -c . canaries) canaries, $looks looks at processes, $(du -sk seen | cut -f1) KiB of frames: none found"
echo passed
