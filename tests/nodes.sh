# For shell tests to source: real nodes in a directory of the test's own, which is left with nothing behind. Their processes are
# in node[NAME], their logs in NAME.log; a node's data directory is its NAME.
: "${PERIGEE:?the program}"
declare -p node >/dev/null 2>&1 && return # sourced already
tmp=$(mktemp -d /tmp/perigee-nodes.XXXXXX)
declare -A node
stop_all() {
    for name in "${!node[@]}"; do
        kill -CONT "${node[$name]}" 2>/dev/null || true
        kill "${node[$name]}" 2>/dev/null || true
    done
    wait
    rm -rf "$tmp"
}
trap stop_all EXIT
cd "$tmp"

need_duckdb() {
    [[ -e ${PERIGEE_DUCKDB:-} ]] && return
    echo "SKIPPED: no libduckdb.so at ${PERIGEE_DUCKDB:-PERIGEE_DUCKDB}"
    exit 77
}
fail() {
    echo "FAILED: $*" >&2
    tail -n 8 ./*.log >&2 || true
    [[ -z ${PERIGEE_KEEP:-} ]] || cp -r "$tmp" "$PERIGEE_KEEP"
    exit 1
}
declare -F start >/dev/null || start() { "$PERIGEE" node --data "$1" >>"$1.log" 2>&1 & node[$1]=$!; }
# Where a node is dialled, and where it listens: a socket here, unless the test says otherwise before it sources this.
declare -F address_of >/dev/null || address_of() { echo "ipc://$tmp/$1.link"; }
declare -F listen_of >/dev/null || listen_of() { address_of "$1"; }
free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)) && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}
# descendants PID: the processes that it has begun, and theirs.
children() { if [[ -e /proc/$$/task/$$/children ]]; then cat /proc/"$1"/task/*/children 2>/dev/null || true; else pgrep -P "$1"; fi; }
descendants() { local child; for child in $(children "$1"); do echo "$child"; descendants "$child"; done; }
# Of its own accord, with exit code 0.
stop() {
    kill "${node[$1]}"
    wait "${node[$1]}" || fail "$1 did not end in order"
    unset "node[$1]"
}
# init NAME ORGANISATION ROLES PLACE PEER...: a data directory that dials these (itself left out); init_words[NAME]
# are more words for `perigee init`.
declare -A init_words
init() {
    local name=$1 organisation=$2 roles=$3 place=$4 peer
    shift 4
    # shellcheck disable=SC2086 # words
    "$PERIGEE" init --data "$name" --organisation "$organisation" --jurisdiction "$place" --roles "$roles" \
        --listen "$(listen_of "$name")" ${init_words[$name]:-} >/dev/null
    echo "peers:" >>"$name/perigee.yaml"
    for peer; do [[ $peer == "$name" ]] || echo "  - address: \"$(address_of "$peer")\"" >>"$name/perigee.yaml"; done
}
# refused CODE TEXT COMMAND...: it ends with this code and says this.
refused() {
    local want=$1 text=$2 code=0
    shift 2
    "$PERIGEE" "$@" >out 2>err || code=$?
    [[ $code -eq $want ]] || fail "$*: exit $code, expected $want: $(cat err)"
    grep -qF -- "$text" err || fail "$*: expected '$text' in: $(cat err)"
}
# nap TRY: between two looks. Who has looked often looks less often, for each look takes processor time from who is waited for;
# with quick=1 before it, what may pass soon is not missed.
nap() { if [[ -n ${quick:-} || $1 -lt 8 ]]; then sleep 0.02; else sleep 0.2; fi; }
# await FILTER NODE COMMAND...: until its --json makes the filter true.
await() {
    local filter=$1 data=$2 try=0 end=$((SECONDS + 120)) now last=$'\n'
    shift 2
    while [[ $SECONDS -lt $end ]]; do
        if now=$("$PERIGEE" "$@" --data "$data" --json 2>/dev/null) && [[ $now != "$last" ]]; then
            jq -es "$filter" >/dev/null 2>&1 <<<"$now" && return
            last=$now # jq takes three times as long as the node to answer
        fi
        nap $((try += 1))
    done
    fail "$data: $* never met $filter: $("$PERIGEE" "$@" --data "$data" --json 2>&1)"
}
# as DATA MEMBER COMMAND...: a member of the answer, once the node does not say "try later" any more.
as() {
    local data=$1 member=$2 answer code
    shift 2
    for _ in $(seq 600); do
        code=0
        answer=$("$PERIGEE" "$@" --data "$data" --json 2>as.err) || code=$?
        [[ $code -eq 75 ]] || break
        sleep 0.05
    done
    cat as.err >&2
    jq -r ".$member" <<<"$answer"
    return "$code"
}
