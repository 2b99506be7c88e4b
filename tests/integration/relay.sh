#!/usr/bin/env bash
# Two owners, who are the custodians, and the compute provider only dial out, and only to lab, which relays: a run settles through its
# tunnels, also when the relay is killed in the middle of one. `live`.
set -euo pipefail
source "$(dirname "$0")/../consortium.sh"
inside="a b gpu1"
metric() { curl -sS --unix-socket "$1/api.sock" http://node/metrics | awk -v name="$2" '$1 == name { print $2 }'; }

# --- nobody listens but lab -----------------------------------------------------------------------------------------------------
for name in $inside gpu2 lab; do stop $name; done
for name in $inside lab; do
    sed -i '/^listen:/d; /^peers:/d; /^  - address:/d' $name/perigee.yaml
    rm -f $name.link
done
for name in $inside; do printf 'peers:\n  - address: "%s"\n' "$(address_of lab)" >>$name/perigee.yaml; done
printf 'listen: "%s"\n' "$(address_of lab)" >>lab/perigee.yaml
for name in lab $inside; do start $name; done
for name in $inside; do await '.[0].node' $name status; done
for name in $inside; do await '.[0].peers | map(select(.up)) | length == 1' $name status; done # no relay yet
stop lab
echo 'relay: { tunnels: 8 }' >>lab/perigee.yaml
start lab
await '.[0].node' lab status
lab=$(as lab node status)
linked() {
    for name in $inside; do
        await ".[0].peers | . != null and (map(select(.up)) | length == 3) and (map(select(.up and .via == \"$lab\")) | length == 2)" $name status
    done
}
linked
[[ $(echo ./*.link) == ./lab.link ]] || fail "somebody else listens: $(echo ./*.link)"
[[ $(metric lab perigee_tunnels) -eq 3 ]] || fail "$(metric lab perigee_tunnels) tunnels, expected one for each pair"
"$PERIGEE" status --data a | grep -q "b-org via ${lab:0:8}" || fail "status does not say it: $("$PERIGEE" status --data a)"

# --- a run through it ------------------------------------------------------------------------------------------------------------
settle() {
    await '.[0].state == "settled" and .[0].output != null' lab run show "$1"
    [[ $(as lab organisation run show "$1") == gpu1-org ]] || fail "$(as lab organisation run show "$1") computed"
    rm -f receipt.json
    "$PERIGEE" run receipt --data lab "$1" --out receipt.json >/dev/null
    "$PERIGEE" verify receipt.json --consortium "$(sha256sum <charter.json | cut -d' ' -f1)" >/dev/null || fail "verify: exit $?"
}
before=$(metric lab perigee_tunnel_bytes_total)
run=$(as lab run run request --workflow "$workflow" --slot 1)
settle "$run"
through=$(($(metric lab perigee_tunnel_bytes_total) - before))
[[ $through -gt $(($(wc -c <a.csv) + $(wc -c <b.csv))) ]] || fail "only $through bytes went through the tunnels"

# --- the relay is killed in the middle of one ---------------------------------------------------------------------------------------
met=0
for slot in 2 3 4; do
    run=$(as lab run run request --workflow "$workflow" --slot $slot)
    quick=1 await '.[0].state | IN("attested", "keyed", "computing", "committed", "settled")' lab run show "$run"
    state=$(as lab state run show "$run")
    [[ $state == settled ]] || met=$((met + 1))
    kill -9 "${node[lab]}"
    wait "${node[lab]}" 2>/dev/null || true
    start lab
    await '.[0].node' lab status
    linked
    settle "$run"
done
[[ $met -gt 0 ]] || fail "the relay was never killed in the middle of a run"
for name in lab $inside; do stop $name; done
echo "relay: $through bytes of a run through 3 tunnels; the relay killed in the middle of $met of 3 runs, all settled"
