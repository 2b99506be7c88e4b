#!/usr/bin/env bash
# Thirty nodes on loopback that know one address when they start: contacts bring each a link with all others, what one publishes reaches all
# when the one that they began with is gone, and who starts again without any address in its configuration is back by what it kept.
# PERIGEE_NODES=n: with more than 64 each has some of the others, and all hears all nevertheless.
set -euo pipefail
declare -A port
address_of() { echo "tcp://127.0.0.1:${port[$1]}"; }
source "$(dirname "$0")/../nodes.sh"
count=${PERIGEE_NODES:-30}
all=(a)
for i in $(seq 2 "$count"); do all+=("n$i"); done
places=(CH DE FR US)
next=$((20000 + RANDOM % 10000))
for name in "${all[@]}"; do
    while (: <"/dev/tcp/127.0.0.1/$next") 2>/dev/null; do next=$((next + 1)); done
    port[$name]=$next
    next=$((next + 1))
    init_words[$name]="--announce tcp://127.0.0.1:${port[$name]}"
done
place_of() { echo "${places[$(($1 % 4))]}"; }
# publish NAME WHAT: the id of a token that this node registers.
publish() {
    printf 'type: algorithm\nname: %s\njurisdiction: CH\n' "$2" >said.yaml
    as "$1" dt asset register said.yaml
}
# reaches DT NAME...: these list it.
reaches() {
    local dt=$1 name
    shift
    for name; do await "any(.[]; .dt == \"$dt\")" "$name" asset list; done
}
init a org-a custodian,owner,algorithm,steward CH
sed -i '/^peers:/d' a/perigee.yaml # it dials nobody
for i in $(seq 2 "$count"); do init "n$i" "org-$i" algorithm "$(place_of "$i")" a; done
"$PERIGEE" consortium new --name mesh --out charter.json a/card.json >/dev/null
for name in "${all[@]}"; do "$PERIGEE" consortium join --data "$name" charter.json >/dev/null; done
for name in "${all[@]}"; do start "$name"; done
await '.[0].node != null' a status
"$PERIGEE" consortium sign --data a >/dev/null
await '.[0].charter.decided' a status
for name in "${all[@]:1}"; do
    await '.[0].peers | any(.up)' "$name" status
    "$PERIGEE" member request --data "$name" >/dev/null
    id=$(as "$name" node status)
    await "any(.[]; .node == \"$id\")" a member list
    "$PERIGEE" member admit --data a "$id" >/dev/null
done
echo "$count members, each told of one address"

# --- all with all, or each with its share ----------------------------------------------------------------------------------------
wanted=$((count <= 64 ? count - 1 : 8))
for name in "${all[@]}"; do await ".[0] | .member and ([.peers[] | select(.up)] | length >= $wanted)" "$name" status; done
for name in "${all[@]}"; do "$PERIGEE" status --data "$name" --json | jq -r '[.peers[] | select(.up)] | length'; done | sort -n | uniq -c |
    awk '{ print $1 " nodes have " $2 " links" }'
reaches "$(publish n2 first)" "${all[@]}"
echo "what one publishes reaches all"

# --- the one that they began with goes -----------------------------------------------------------------------------------
stop a
rest=("${all[@]:1}")
reaches "$(publish n3 second)" "${rest[@]}"
echo "without the node that they began with, too"

# --- a third of them starts again, with no address to dial -------------------------------------------------------------------------
again=()
for name in "${rest[@]}"; do [[ $((${name#n} % 3)) -ne 0 ]] || again+=("$name"); done
sleep 1 # contacts are kept each ten seconds at most, and at once the first time
for name in "${again[@]}"; do
    stop "$name"
    sed -i '/^peers:/,$d' "$name/perigee.yaml"
done
for name in "${again[@]}"; do start "$name"; done
for name in "${again[@]}"; do await '[.[0].peers[] | select(.up)] | length >= 2' "$name" status; done
reaches "$(publish n2 third)" "${rest[@]}"
echo "${#again[@]} that start again without an address find the others by the contacts they kept"

# --- it comes back, and one says that it is where another answers ----------------------------------------------------------------
start a
liar=${again[1]}
stop "$liar"
sed -i "s|^announce:.*|announce: \"tcp://127.0.0.1:${port[n2]}\"|" "$liar/perigee.yaml"
start "$liar"
await '[.[0].peers[] | select(.up)] | length >= 2' "$liar" status
reaches "$(publish "$liar" fourth)" "${all[@]}"
echo "who gives an address where another answers keeps nobody from anything"
for name in "${!node[@]}"; do stop "$name"; done

# --- two alone, that have no address but what they kept ------------------------------------------------------------------------------
if [[ $count -le 32 ]]; then
    start n2 && start n4
    for name in n2 n4; do await '.[0].peers | any(.up)' "$name" status; done
    sleep 12 # what is dialled is kept each ten seconds
    for name in n2 n4; do stop "$name"; done
    for name in n2 n4; do sed -i '/^peers:/,$d' "$name/perigee.yaml"; done
    for name in n2 n4; do start "$name"; done
    for name in n2 n4; do await '.[0].peers | any(.up)' "$name" status; done
    for name in "${!node[@]}"; do stop "$name"; done
    echo "two that start alone find each other by what they kept"
fi
echo passed
