#!/usr/bin/env bash
# An owner whose approval key is on another machine: the node cannot approve, what it writes is read and signed where the key is,
# and only what was signed there counts. Whatever is changed in between is refused.
set -euo pipefail

before_init() {
    mkdir elsewhere
    key=$("$PERIGEE" approval key --json --out elsewhere/approval.key | jq -r .approval_key)
    init_words[b]="--approval-key $key"
}
approve_as() {
    local words=(--data "$1" --asset "${dataset[$1]}" --workflow "$workflow" --slots 1-30)
    if [[ $1 != b ]]; then
        "$PERIGEE" approve "${words[@]}" --yes >/dev/null
        return
    fi
    refused 1 'is kept elsewhere' approve "${words[@]}" --yes
    "$PERIGEE" approve "${words[@]}" --offline request.json >/dev/null
    "$PERIGEE" approval sign request.json --key elsewhere/approval.key --out signed.json --yes >read
    for said in 'Mean age by sex' 'YOUR DATASET' 'BY WHICH CODE' 'Slots 1 to 30'; do grep -q "$said" read || fail "the signer is not shown: $said"; done

    # what was not signed, or otherwise
    refused 1 'is not signed' approval submit --data b request.json
    for change in '.slot_last = 300' '.slot_first = 2' ".dataset = \"${dataset[a]}\"" '.owner |= ascii_upcase' \
        '.workflow |= sub("ages"; "ayes")' '.ops[0].code |= sub("t"; "T")' '.ops = []' '. + {more: 1}' \
        '.approval_signature |= sub("^."; "g")' '.perigee = "approval-request/2"'; do
        jq -c "$change" signed.json >changed.json
        if "$PERIGEE" approval submit --data b changed.json >out 2>err; then fail "taken although changed: $change"; fi
        [[ -s err ]] || fail "no reason for $change"
    done
    # signed by another key
    "$PERIGEE" approval key --out elsewhere/other.key >/dev/null
    "$PERIGEE" approval sign request.json --key elsewhere/other.key --out other.json --yes >/dev/null
    refused 1 'no-approval' approval submit --data b other.json
    refused 1 'never replaced' approval key --out elsewhere/approval.key
    refused 1 '' approval sign request.json --key b/identity.key --out never.json --yes
    [[ ! -e never.json ]] || fail "a node's key signed an approval"

    "$PERIGEE" approval submit --data b signed.json >/dev/null
    refused 1 'slot-overlap' approval submit --data b signed.json
    refused 1 'the first slot behind that is 31' approve "${words[@]}" --yes
}
source "$(dirname "${BASH_SOURCE[0]}")/../consortium.sh"

run=$(as lab run run request --workflow "$workflow")
await '.[0].state == "settled"' lab run show "$run"
"$PERIGEE" run receipt --data lab --out receipt.json "$run" >/dev/null
"$PERIGEE" verify receipt.json --consortium "$(as lab consortium status)" >/dev/null
echo "ok: approved where the key is, run, verified"
