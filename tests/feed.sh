# For tests to source after tests/consortium.sh: what lab's node says of runs, as it happens; nobody sleeps.
mkfifo feed
"$PERIGEE" events --data lab --json >feed 2>events.err &
node[feed]=$!
exec 3<feed
until curl -sS --unix-socket lab/api.sock http://node/metrics | grep -qx 'perigee_event_followers 1'; do sleep 0.02; done
phases=(elected attested keyed computing committed settled)
# until_run RUN PHASE TERM: it has come so far, in this term or a later one. Leaves its phase in $state.
until_run() {
    local line want=" ${phases[*]} "
    want=" $2 ${want#* "$2" }"
    while read -r -t 60 line <&3; do
        [[ $line =~ \"run\":\"$1\".*\"state\":\"([a-z-]+)\",\"term\":([0-9]+) ]] || continue
        state=${BASH_REMATCH[1]}
        [[ $state == settled || (${BASH_REMATCH[2]} -ge $3 && $want == *" $state "*) ]] && return
    done
    fail "run $1 never came to $2: $("$PERIGEE" run show --data lab "$1")"
}
# elected RUN: the name of the node that was elected last, as lab's node knows.
elected() { curl -sS --unix-socket lab/api.sock "http://node/v1/runs/$1" | sed 's/.*"organisation":"\([a-z0-9]*\)-org".*/\1/'; }
end_feed() {
    kill "${node[feed]}" && wait "${node[feed]}" || true
    unset 'node[feed]'
}
