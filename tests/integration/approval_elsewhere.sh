#!/usr/bin/env bash
# An owner whose approval key is on another machine: the node cannot approve, what it writes is read and signed where the key is,
# and only what was signed there counts. Whatever is changed in between is refused.
set -euo pipefail

before_init() {
    mkdir elsewhere
    for none in 00 ff; do # no key of anybody's
        refused 3 "which is no key's" init --data never --organisation n --jurisdiction CH --roles owner \
            --approval-key "$(printf "$none%.0s" {1..32})"
    done
    key=$("$PERIGEE" approval key --json --out elsewhere/approval.key | jq -r .approval_key)
    init_words[b]="--approval-key $key"
}
approve_as() {
    local words=(--data "$1" --asset "${dataset[$1]}" --workflow "$workflow" --slots 1-30)
    if [[ $1 != b ]]; then
        refused 1 'leave --offline out' approve "${words[@]}" --offline needless.json
        [[ ! -e needless.json ]] || fail "a request was written that no key may sign"
        refused 1 "not-owner: expected a dataset of this node; ${dataset[b]} is owned by b-org" approve --data a \
            --asset "${dataset[b]}" --workflow "$workflow" --slots 1-30 --yes
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
    jq -c '.slot_last = 300' signed.json >changed.json
    refused 1 'changed.json: expected a signature over what stands in it' approval submit --data b changed.json
    refused 1 'a request that this node wrote' approval submit --data a signed.json
    # signed by another key
    "$PERIGEE" approval key --out elsewhere/other.key >/dev/null
    "$PERIGEE" approval sign request.json --key elsewhere/other.key --out other.json --yes >/dev/null
    refused 1 'another key signed it' approval submit --data b other.json
    refused 1 'never replaced' approval key --out elsewhere/approval.key
    refused 1 'none.key: expected a key file' approval sign request.json --key none.key --out never.json --yes
    refused 1 'b/identity.key: expected a key file of `perigee approval key`' approval sign request.json --key b/identity.key --out never.json --yes
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
