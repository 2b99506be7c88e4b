#!/usr/bin/env bash
# A maker's devices: a hospital founds a consortium whose charter lets each maker have one device, and admits a maker; the maker
# admits a device alone, no second one beside it, and takes its word back. What the hospital lists is what the maker said.
set -euo pipefail
source "$(dirname "$0")/../nodes.sh"

id_of() { "$PERIGEE" status --data "$1" --json | jq -r .node; }
ask() {
    "$PERIGEE" member request --data "$1" >/dev/null
    await "any(.[]; .waiting and .node == \"$(id_of "$1")\")" "$2" member list
}

# --- a hospital, two makers, their devices ----------------------------------------------------------------------------------
everyone="hospital maker other-maker ward field"
for who in "hospital hospital owner,custodian,steward" "maker pumps maker" "other-maker scales maker" \
    "ward pumps device" "field pumps device"; do
    read -r name organisation roles <<<"$who"
    init "$name" "$organisation" "$roles" CH $everyone
done
"$PERIGEE" init --data mixed --organisation pumps --jurisdiction CH --roles device,compute >/dev/null
refused 3 "--maker-devices: expected" consortium new --name c --out charter.json --maker-devices 1025 hospital/card.json
"$PERIGEE" consortium new --name pumps --out charter.json --maker-devices 1 hospital/card.json >/dev/null
for name in $everyone mixed; do
    "$PERIGEE" consortium join --data "$name" charter.json >/dev/null
    start "$name"
done
for name in $everyone; do await '.[0].peers | map(select(.up)) | length == 4' "$name" status; done
"$PERIGEE" consortium sign --data hospital >/dev/null
await '.[0].charter.decided' hospital status
"$PERIGEE" consortium show --data hospital | grep -q "devices .*1 of each maker" || fail "show does not say how many"
await '.[0].node != null' mixed status
refused 1 "the role device alone" member request --data mixed

# --- stewards admit makers, makers devices ----------------------------------------------------------------------------------
for name in maker other-maker; do
    ask $name hospital
    "$PERIGEE" member admit --data hospital "$(id_of $name)" >/dev/null
    await '.[0].member' $name status
done
ward=$(id_of ward) field=$(id_of field) maker=$(id_of maker)
for name in ward field; do for by in hospital maker other-maker; do ask $name $by; done; done
refused 1 "a maker alone admits a device" member admit --data hospital "$ward"
refused 1 "of this maker's organisation, scales; came one of pumps" member admit --data other-maker "$ward"
"$PERIGEE" member admit --data maker "$ward" >/dev/null
for by in hospital ward other-maker; do
    await "any(.[]; .node == \"$ward\" and .maker == \"$maker\" and .roles == [\"device\"])" $by member list
done
await '.[0] | .member and .organisation == "pumps" and .removed == false' ward status
refused 1 "expected fewer than 1 devices of this maker" member admit --data maker "$field"
grep -q "1 are in force" err || fail "the refusal does not say how many are in force: $(cat err)"

# --- a device removes and admits nobody; its maker takes it back, and its place is free ---------------------------------------
refused 1 "not-a-member" member remove --data hospital "$field"
refused 1 "not-a-steward" member remove --data ward "$maker"
refused 1 "neither custodian nor steward" member remove --data hospital "$(id_of hospital)"
refused 1 "last_seq" member remove --data maker "$ward" --last-seq 3
"$PERIGEE" member remove --data maker "$ward" | grep -q "revoked the device $ward" || fail "remove does not say what it did"
await "all(.[]; .waiting or .node != \"$ward\")" hospital member list
await '.[0] | (.member or .removed) | not' ward status # its maker may say it again
"$PERIGEE" status --data ward >out
if grep -q "^removed" out; then fail "status says that a device's key was removed for good: $(cat out)"; fi
"$PERIGEE" member admit --data maker "$field" >/dev/null
await "any(.[]; .node == \"$field\" and .maker == \"$maker\")" hospital member list

# --- the hospital's node is started again: it computes the same from what it kept ---------------------------------------------
kill "${node[hospital]}"
wait "${node[hospital]}" || fail "hospital did not end in order"
start hospital
await "any(.[]; .node == \"$field\" and .maker == \"$maker\") and all(.[]; .waiting or .node != \"$ward\")" hospital member list

# --- stewards remove the maker, and with it what it admitted ------------------------------------------------------------------
"$PERIGEE" member remove --data hospital "$maker" | grep -q "signed the removal" || fail "remove does not say what it did"
await "all(.[]; .waiting or (.node != \"$maker\" and .node != \"$field\"))" hospital member list
await '.[0] | .removed and (.member | not)' maker status
await '.[0].member | not' field status # it hears of it, though it is no member any more
"$PERIGEE" status --data maker >out
grep -q "^removed  .*which is for good" out || fail "status does not say that this key was removed: $(cat out)"
refused 1 "removed or replaced, which is for good" member request --data maker
refused 1 "removed or replaced, which is for good" member admit --data hospital "$maker"
echo "devices ok"
