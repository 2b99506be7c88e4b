#!/usr/bin/env bash
# In a consortium of more than 64 members nobody needs a link with all: a requester that is linked with one compute member alone is
# healthy, is told that a run is ready, and sees it settle. With no link at all it is not.
set -euo pipefail
tests=$(dirname "${BASH_SOURCE[0]}")/..
before_init() { # founders who are on paper only
    for i in $(seq 66); do
        "$PERIGEE" init --data "paper$i" --organisation "paper-$i" --jurisdiction CH --roles algorithm >/dev/null
    done
    charter_words=$(printf 'paper%s/card.json ' $(seq 66))
}
source "$tests/consortium.sh"
healthz() { curl -sS --unix-socket "$1/api.sock" http://node/healthz -o out -w '%{http_code}'; }
metric() { curl -sS --unix-socket "$1/api.sock" http://node/metrics | awk -v name="$2" '$1 == name { print $2 }'; }

# --- lab has a link with gpu1 alone ------------------------------------------------------------------------------------------------
for name in a b gpu1 gpu2; do stop $name; done
peers_of() { case $1 in gpu1) echo a b ;; *) echo a b gpu1 ;; esac; }
for name in a b gpu1; do
    sed -i '/^listen:/d; /^peers:/d; /^  - address:/d' $name/perigee.yaml
    [[ $name == gpu1 ]] && at=$(address_of gpu1) || at=$(address_of $name-elsewhere) # where lab does not dial it
    rm -f "$name.link"
    {
        echo "listen: \"$at\""
        echo peers:
        for peer in $(peers_of $name); do
            [[ $peer == gpu1 ]] && to=$(address_of gpu1) || to=$(address_of $peer-elsewhere)
            [[ $peer == "$name" ]] || echo "  - address: \"$to\""
        done
    } >>$name/perigee.yaml
done
for name in a b gpu1; do start $name; done
await '.[0].peers | map(select(.up)) | length == 3' gpu1 status
await '.[0] | (.isolated | not) and .needs_custodians' a status
await '.[0].peers | map(select(.up) | .organisation) == ["gpu1-org"]' lab status

# --- which is enough ---------------------------------------------------------------------------------------------------------------
[[ $(healthz lab) -eq 200 ]] || fail "linked with whom it needs it is healthy: $(cat out)"
await '.[0] | (.isolated | not) and (.needs_custodians | not)' lab status
[[ $(metric lab perigee_isolated) -eq 0 ]] || fail "a member that needs no custodian is not isolated"
"$PERIGEE" status --data lab >text
if grep -q '^waits for' text; then fail "it waits for nothing: $(cat text)"; fi
("$PERIGEE" doctor --data lab || true) >text
grep -q 'custodians  *they need not be linked' text || fail "doctor warns of what is no lack: $(cat text)"
await '.[0].ready' lab run request --dry-run --workflow "$workflow"
"$PERIGEE" run request --dry-run --workflow "$workflow" --data lab >text || fail "a run that is ready is refused: $(cat text)"
grep -q 'ok *owner linked *a-org: it is not linked here, and need not be' text || fail "it does not say so: $(cat text)"
run=$(as lab run run request --workflow "$workflow" --slot 1)
await '.[0].state == "settled"' lab run show "$run"

# --- none is not ---------------------------------------------------------------------------------------------------------------------
stop gpu1
await '.[0] | .isolated and (.needs_custodians | not)' lab status # it is cut off from all
[[ $(healthz lab) -eq 503 ]] || fail "with no link at all it is not healthy: $(cat out)"
"$PERIGEE" status --data lab | grep -q '^waits for  *a link to some member' || fail "status does not say it"
for name in "${!node[@]}"; do stop "$name"; done
echo "ok: few links are enough, and are said to be"
