#!/usr/bin/env bash
# A whole run of five real nodes, watched: its events in order, what custodians gave as figures, and logs without a secret in them:
# key material is searched for as bytes, hex and base64, and so are rows, after the search has found what was planted.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../consortium.sh"

metric() { curl -sS --unix-socket "$1/api.sock" http://node/metrics | awk -v name="$2" '$1 == name { print $2 }'; }

# --- the events of one run ------------------------------------------------------------------------------------------------------
"$PERIGEE" events --data lab --json >events 2>events.err &
follower=$!
until [[ $(metric lab perigee_event_followers) -eq 1 ]]; do sleep 0.02; done
run=$("$PERIGEE" run request --data lab --workflow "$workflow" --wait --json | jq -rs '.[-1].run')
until jq -es "any(.[]; .event == \"run\" and .data.run == \"$run\" and .data.state == \"settled\")" events >/dev/null; do sleep 0.05; done
kill "$follower"
wait "$follower" || true
jq -es "map(select(.event == \"record\" and .data.record == \"$run\" and .data.kind == \"run\")) | length == 1" events >/dev/null ||
    fail "the run's record is not among them: $(cat events)"
states=$(jq -rs "map(select(.event == \"run\" and .data.run == \"$run\") | .data.state) | join(\" \")" events)
[[ $states == *eligible*elected*settled || $states == *elected*computing*settled ]] || fail "not the way of a run: $states"
jq -es 'map(.id | split("-")[1] | tonumber) | . == sort and (unique | length) == length' events >/dev/null || fail "ids do not rise"

# --- what the custodians gave ----------------------------------------------------------------------------------------------------
for name in a b; do
    for ask in vote shares commit; do
        [[ $(metric $name "perigee_custodian_answers_total{ask=\"$ask\",reason=\"none\"}") -ge 1 ]] ||
            fail "$name counted no $ask: $(curl -sS --unix-socket $name/api.sock http://node/metrics | grep custodian)"
    done
done
[[ $(metric lab 'perigee_runs{state="settled"}') -eq 1 ]] || fail "the settled run is not counted"
[[ $(metric lab 'perigee_records{kind="receipt"}') -eq 1 ]] || fail "the receipt is not counted"

# --- the logs ---------------------------------------------------------------------------------------------------------------------
for name in a b lab gpu1 gpu2; do
    bad=$(grep -vE '^time=[0-9T:.-]+Z level=(error|warn|info|debug) event=[a-z.-]+ node=[0-9a-f]{16}( left_out=[0-9]+)? msg="([^"\\]|\\.)*"$' $name.log || true)
    [[ -z $bad ]] || fail "$name: no structured line: $bad"
done
for event in node.ready run.elected release.given commit.signed; do
    grep -q "event=$event " ./*.log || fail "nobody said $event"
done
# Every byte of key files, in pieces that no accident repeats: whatever a key of 32 bytes begins with in its file, its hex and its
# base64 hold one of them whole.
for name in a b lab gpu1 gpu2; do find "$name" -name '*.key' -type f; done >keys
[[ $(wc -l <keys) -ge 20 ]] || fail "only $(wc -l <keys) key files: $(cat keys)"
perl -e 'while (<>) {
    chomp; open my $f, "<:raw", $_ or die "$_: $!"; local $/; my $bytes = <$f>;
    for my $from (0 .. 2) {
        for (my $at = $from; $at + 16 <= length $bytes; $at += 16) {
            my $piece = substr $bytes, $at, 15;
            next if $piece =~ /\0{6}/;
            my $text = substr pack("u", $piece), 1, 20;
            $text =~ tr|` -_|AA-Za-z0-9+/|;
            print unpack("H*", $piece), "\n$text\n";
        }
    }
}' keys | sort -u >pieces
[[ $(wc -l <pieces) -ge 200 ]] || fail "only $(wc -l <pieces) pieces"
for name in a b; do tail -n +2 $name.csv; done >rows
"$PERIGEE" token create --data lab --name x --scopes read --json | jq -r '.token | split("_")[2]' >secret
cat pieces rows secret >patterns
search() { grep -aiFf patterns "$@"; }
# What it must find, planted: a key as it would be printed, a row, a token.
key=$(grep -m1 /identity.key keys)
for plant in "$(od -An -v -tx1 "$key" | tr -d ' \n' | tail -c 64)" "$(tail -c 32 "$key" | base64)" "$(shuf -n 1 rows)" "$(cat secret)"; do
    { cat a.log; echo "msg=\"x${plant}y\""; } >planted
    search planted >/dev/null || fail "the search does not find a planted $plant"
done
if search ./*.log events >found; then fail "a secret in a log: $(head -3 found)"; fi
lines=$(cat ./*.log | wc -l)
echo "watched_run: $(wc -l <patterns) pieces of keys and rows in none of $lines lines of log; states: $states"
