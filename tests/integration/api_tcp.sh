#!/usr/bin/env bash
# The API over TCP: TLS or nothing, tokens with scopes, and the command line from another machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../nodes.sh"

init a a-org owner,custodian,steward,requester CH b
"$PERIGEE" consortium new --name remote --out charter.json a/card.json >/dev/null
"$PERIGEE" consortium join --data a charter.json >/dev/null
cp a/perigee.yaml base.yaml
# configure YAML: the node's configuration with this `api`.
configure() { { cat base.yaml; printf 'api: %s\n' "$1"; } >a/perigee.yaml; }

# --- what is no safe configuration is refused -----------------------------------------------------------------------------
configure '{ listen: "tcp://0.0.0.0:0" }'
refused 1 'perigee tls new' node --data a
configure '{ listen: "tcp://0.0.0.0:0", plaintext: true }'
refused 1 'a loopback address in api.listen' node --data a
configure '{ listen: "tcp://example.org:443", certificate: api.crt, key: api.key }'
refused 1 'with a numeric address' node --data a
configure '{ listen: "tcp://127.0.0.1:99999", certificate: api.crt, key: api.key }'
refused 1 'with a numeric address' node --data a
configure '{ listen: "tcp://127.0.0.1:0", certificate: api.crt, key: api.key }'
refused 1 'perigee tls new' node --data a
refused 3 'a host'"'"'s name or address' tls new --data a --name 'x,DNS:evil'
long=$(printf 'silo-%.0s' {1..12})hospital.example
"$PERIGEE" tls new --data a --name "$long" >/dev/null # longer than a common name may be
rm a/api.crt a/api.key
fingerprint=$("$PERIGEE" tls new --data a --name 127.0.0.1 --json | jq -r .fingerprint)
[[ $(openssl x509 -in a/api.crt -noout -fingerprint -sha256 2>/dev/null | sed 's/.*=//; s/://g' | tr A-F a-f) == "$fingerprint" ]] ||
    fail "the fingerprint is not the certificate's"
refused 1 'exists already' tls new --data a
[[ $(stat -c %a a/api.key) -eq 600 ]] || fail "the key is not closed to others"
chmod 644 a/api.key
refused 1 'chmod 600' node --data a
chmod 600 a/api.key
cp a/api.key right.key
openssl ecparam -name prime256v1 -genkey -noout >a/api.key
refused 1 "expected the key of the certificate api.crt, came another's" node --data a
refused_doctor() { # refused_doctor WORDS: the certificate is what it fails by
    "$PERIGEE" doctor --data a >out && fail "doctor calls it well: $(cat out)"
    grep -q "^FAIL  certificate .*$1" out || fail "doctor does not say '$1': $(cat out)"
}
refused_doctor "came another's"
cp right.key a/api.key
"$PERIGEE" doctor --data a | grep -q '^ok    certificate .* ends in 82[45] days' || fail "doctor does not know the certificate"

# --- up ---------------------------------------------------------------------------------------------------------------------
serve() { # the node, and its address in $url and $port
    start a
    await '.[0].api != null' a status
    url=https://$(as a api status | sed 's#^tcp://##')
    port=${url##*:}
}
serve
# ask STATUS REASON PATH [CURL WORD...]: over TLS, with the bearer $token if it is set.
ask() {
    local status=$1 reason=$2 path=$3
    shift 3
    got=$(curl -sS --cacert a/api.crt ${token:+-H "Authorization: Bearer $token"} -o out -D head -w '%{http_code}' "$@" "$url$path")
    [[ $got -eq $status ]] || fail "$path: expected $status, came $got: $(cat out)"
    [[ -z $reason || $(jq -r .reason out) == "$reason" ]] || fail "$path: expected $reason, came $(cat out)"
}
token= ask 401 no-token /v1/status
grep -qi '^www-authenticate: bearer' head || fail "401 does not say how to come in"
token=pgt_0000000000000000_$(printf '0%.0s' {1..64}) ask 401 unknown-token /v1/status
token=pgt_ ask 401 unknown-token /v1/status
token=$(printf 'x%.0s' {1..4000}) ask 401 unknown-token /v1/status
! grep -rqa 'pgt_' a/store || fail "a token was stored before any was made"

make() { "$PERIGEE" token create --data a --name "$1" --scopes "$2" --json "${@:3}" | jq -r .token; }
reader=$(make reader read)
monitor=$(make monitor monitor)
admin=$(make boss admin,read)
refused 3 'each once' token create --data a --name x --scopes read,read
refused 3 '--scopes' token create --data a --name x
token=$reader ask 200 "" /v1/status
token=$reader ask 403 scope /healthz
jq -r .detail out | grep -qF '"monitor"' || fail "403 does not name the scope: $(cat out)"
token=$reader ask 403 scope /v1/runs --json "{\"compose\":\"$(printf 'ab%.0s' {1..32})\"}"
token=$monitor ask 403 scope /v1/status
token=$monitor ask 200 "" /metrics
grep -q '^perigee_api_tls_connections 1$' out || fail "the asking connection is not counted: $(grep tls out)"
token=$reader ask 404 no-such-path /v2
token=$reader ask 405 method /v1/status -X DELETE
# Nobody hands on more than he has.
token=$admin ask 403 scope /v1/tokens --json '{"name":"x","scopes":["approve"]}'
token=$admin ask 200 "" /v1/tokens --json '{"name":"x","scopes":["read"]}'
# Every route over TCP asks for the scope that it names: one without it is refused, whatever it asks for.
"$PERIGEE" status --data a >/dev/null
curl -sS --unix-socket a/api.sock http://node/v1 |
    jq -r '.routes[] | [.method, .scope, (.path | gsub("\\{[a-z]+\\}"; "x"))] | @tsv' >routes
while read -r method scope path; do
    [[ $scope != none ]] || fail "no scope: $method $path"
    with=$monitor
    [[ $scope == monitor ]] && with=$reader
    token=$with ask 403 scope "$path" -X "$method"
done <routes
[[ $(wc -l <routes) -ge 35 ]] || fail "only $(wc -l <routes) routes were tried"

# --- only a hash is kept, and it survives a restart; a revoked one does not --------------------------------------------------
secret=${reader##*_}
for file in a/store/* a.log; do
    ! grep -qaF "$secret" "$file" || fail "a token's secret is in $file"
    ! grep -qaP "$(sed 's/../\\x&/g' <<<"$secret")" "$file" || fail "a token's secret is in $file, as bytes"
done
grep -qa 'api-token/' a/store/* || fail "the search would not find what is stored"
id=$("$PERIGEE" token list --data a --json | jq -r 'select(.name == "monitor") | .id')
# One token follows events eight times, and leaves room for the others. A stream ends with any token's end: who still may begins
# anew.
for i in $(seq 8); do
    curl -sSN --cacert a/api.crt -H "Authorization: Bearer $reader" "$url/v1/events" >followed 2>&1 & follower[i]=$!
done
until curl -sS --unix-socket a/api.sock http://node/metrics | grep -q '^perigee_event_followers 8$'; do sleep 0.05; done
token=$reader ask 503 full /v1/events
curl -sSN --unix-socket a/api.sock http://node/v1/events >followed 2>&1 & local_one=$!
until curl -sS --unix-socket a/api.sock http://node/metrics | grep -q '^perigee_event_followers 9$'; do sleep 0.05; done
kill "$local_one"; wait "$local_one" 2>/dev/null || true
"$PERIGEE" token revoke --data a "$id" >/dev/null
for _ in $(seq 400); do
    kill -0 "${follower[@]}" 2>/dev/null || break
    sleep 0.05
done
kill "${follower[@]}" 2>/dev/null && fail "a stream goes on after a token was revoked"
wait "${follower[@]}" 2>/dev/null || true
token=$monitor ask 401 unknown-token /metrics
refused 1 unknown-token token revoke --data a "$id"
kill -9 "${node[a]}"; wait "${node[a]}" 2>/dev/null || true
serve
token=$reader ask 200 "" /v1/status
token=$monitor ask 401 unknown-token /metrics
[[ $("$PERIGEE" token list --data a --json | jq -s 'map(select(.token or .hash)) | length') -eq 0 ]] || fail "a list shows secrets"
short=$("$PERIGEE" token create --data a --name short --scopes read --json | jq -r .id)
"$PERIGEE" token list --data a | grep -q "^$short  short" || fail "the list does not show it: $("$PERIGEE" token list --data a)"
brief=$(curl -sS --unix-socket a/api.sock --json '{"name":"brief","scopes":["read"],"expires_in_ms":1}' http://node/v1/tokens | jq -r .token)
until [[ $(date +%s%3N) -gt $(("$("$PERIGEE" token list --data a --json | jq 'select(.name == "brief") | .expires_ms')" + 0)) ]]; do :; done
token=$brief ask 401 token-expired /v1/status

# --- TLS, and nothing else ----------------------------------------------------------------------------------------------------
curl -sS "$url/v1/status" >/dev/null 2>err && fail "a stranger's certificate was believed"
grep -q certificate err || fail "not for its certificate: $(cat err)"
! curl -sS --cacert a/api.crt --tls-max 1.1 "$url/v1/status" >/dev/null 2>&1 || fail "TLS 1.1 was spoken"
token=$reader ask 200 "" /v1/status --tls-max 1.2
[[ $(curl -s -o out -w '%{http_code}' -H "Authorization: Bearer $reader" "http://127.0.0.1:$port/v1/status") == 400 ]] || fail "HTTP in the clear: $(cat out)"
[[ $(jq -r .reason out) == tls ]] || fail "HTTP in the clear is not told why: $(cat out)"
head -c 100000 /dev/urandom >garbage
timeout 20 bash -c "cat garbage >/dev/tcp/127.0.0.1/$port" 2>/dev/null || true
# More than fit hold a connection open and say nothing: who speaks comes in all the same.
exec {first}<>/dev/tcp/127.0.0.1/"$port"
held=("$first")
for _ in $(seq 200); do exec {fd}<>/dev/tcp/127.0.0.1/"$port" && held+=("$fd"); done
token=$reader ask 200 "" /v1/status
for fd in "${held[@]}"; do exec {fd}>&-; done
# A body that is too long is refused before it is read, and the answer arrives.
head -c 6000000 /dev/zero >large
token=$reader ask 413 too-large /v1/runs -H 'Expect:' --data-binary @large
token= ask 401 no-token /v1/runs -H 'Expect:' --data-binary @large

# --- the command line -----------------------------------------------------------------------------------------------------------
(umask 077; echo "$admin" >admin.token; echo "$reader" >reader.token)
remote=(--api "$url" --token-file admin.token)
[[ $("$PERIGEE" status "${remote[@]}" --ca a/api.crt --json | jq -r .node) == "$(as a node status)" ]] || fail "another node answers"
[[ $("$PERIGEE" status "${remote[@]}" --fingerprint "$fingerprint" --json | jq -r .node) == "$(as a node status)" ]] || fail "another node answers"
PERIGEE_API=$url PERIGEE_TOKEN_FILE=reader.token PERIGEE_CA=a/api.crt "$PERIGEE" asset list >/dev/null || fail "the environment is not read"
refused 2 'self-signed certificate' status "${remote[@]}"
refused 2 'another certificate' status "${remote[@]}" --fingerprint "$(printf 'ab%.0s' {1..32})"
refused 2 'no node answers at https://127.0.0.1:1' status --api https://127.0.0.1:1 --token-file admin.token --ca a/api.crt
refused 1 'use https' status --api "http://127.0.0.1:$port" --token-file admin.token
refused 2 'its certificate is for other names' status --api "https://localhost:$port" --token-file admin.token --ca a/api.crt
refused 2 'the name x..y has no address here' status --api "https://x..y:$port" --token-file admin.token --ca a/api.crt
refused 3 'use https' status --api "http://example.org:$port" --token-file admin.token
refused 3 'either --data or --api' status "${remote[@]}" --data a
refused 3 'token-file' status --api "$url"
refused 3 'data directory, where it lies' seal "${remote[@]}" --ca a/api.crt --asset x --in y --workflow z
refused 1 'scope "admin"' consortium sign --api "$url" --token-file reader.token --ca a/api.crt
chmod 644 admin.token
refused 3 'chmod 600' status "${remote[@]}" --ca a/api.crt
chmod 600 admin.token
"$PERIGEE" consortium sign "${remote[@]}" --ca a/api.crt >/dev/null
await '.[0].charter.decided' a status
"$PERIGEE" token create "${remote[@]}" --ca a/api.crt --name more --scopes read --out more.token >said
! grep -q pgt_ said || fail "a token that goes into a file is shown, too"
[[ $(stat -c %a more.token) -eq 600 ]] || fail "a token's file is not closed to others"
made=$("$PERIGEE" token list --data a --json | wc -l)
refused 1 'more.token: exists already' token create "${remote[@]}" --ca a/api.crt --name again --scopes read --out more.token
[[ $("$PERIGEE" token list --data a --json | wc -l) -eq $made ]] || fail "a token was made for a file that cannot be"
"$PERIGEE" status --api "$url" --token-file more.token --ca a/api.crt >/dev/null
! grep -q pgt_ a.log || fail "a token is in the log"

# --- a certificate that ends ---------------------------------------------------------------------------------------------------
stop a
"$PERIGEE" tls new --data a --name 127.0.0.1 --days 20 --replace >/dev/null
! grep -q 'event=api.certificate' a.log || fail "a certificate of two years is said to end soon"
serve
part() { curl -sS --unix-socket a/api.sock http://node/healthz | jq -c '.parts[] | select(.part == "certificate") | [.good, .detail]'; }
part | grep -q '^\[true,.*ends in \(19\|20\) days: `perigee tls new --replace`' || fail "not said: $(part)"
curl -sS --unix-socket a/api.sock http://node/metrics >out
[[ $(awk '/^perigee_api_certificate_end_seconds / { print int(($2 - '"$(date +%s)"') / 86400 + 0.5) }' out) -eq 20 ]] || fail "not in the figures: $(grep certificate out)"
for _ in $(seq 1200); do ! grep -q 'event=api.certificate' a.log || break; sleep 0.02; done
grep -q 'event=api.certificate.*ends in \(19\|20\) days' a.log || fail "the log does not warn: $(cat a.log)"
"$PERIGEE" doctor --data a >out || fail "doctor: $(cat out)"
grep -q '^warn  certificate .* ends in \(19\|20\) days' out || fail "doctor does not warn: $(cat out)"
stop a
# A month on; nothing is signed meanwhile.
"${CC:-cc}" -shared -fPIC -o clock_shim.so "$here/clock_shim.c"
echo $((30 * 86400000)) >clock
export PERIGEE_TEST_CLOCK=$tmp/clock
asan="${ASAN_OPTIONS:-}:verify_asan_link_order=0"
LD_PRELOAD=$tmp/clock_shim.so ASAN_OPTIONS=$asan "$PERIGEE" node --data a >>a.log 2>&1 & node[a]=$!
await '.[0].api != null' a status
part | grep -q '^\[false,.*ended \(9\|10\) days ago' || fail "one that has ended is well: $(part)"
LD_PRELOAD=$tmp/clock_shim.so ASAN_OPTIONS=$asan "$PERIGEE" doctor --data a >out && fail "doctor calls an ended certificate well: $(cat out)"
grep -q '^FAIL  certificate .*ended \(9\|10\) days ago' out || fail "doctor does not say it: $(cat out)"

# --- without TLS, on this machine, when that is said ------------------------------------------------------------------------------
stop a
configure '{ listen: "tcp://127.0.0.1:0", plaintext: true }'
serve
"$PERIGEE" status --api "http://127.0.0.1:$port" --token-file reader.token >/dev/null
refused 2 'speaks no TLS' status --api "https://127.0.0.1:$port" --token-file reader.token --ca a/api.crt
[[ $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/v1/status") -eq 401 ]] || fail "no token was asked for"
stop a
echo "api_tcp: TLS or nothing, and nobody without the scope"
