# shellcheck shell=bash
# common: what every lint script shares. A script defines
#   check         prints one line per finding about the tree in the current folder
#   bad_fixture   writes a small tree in which `check` must find exactly $bad_findings things
#   good_fixture  writes a small tree in which it must find none
#   advice        what to do about a finding
# and calls lint_run, which proves on the fixtures that the check can fail before it believes that it passed.
set -euo pipefail
export LC_ALL=C.UTF-8
lint_root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
lint_build=${PERIGEE_BUILD_DIR:-$lint_root/build/release}
lint_tmp=$(mktemp -d)
trap 'rm -rf "$lint_tmp"' EXIT
export lint_root lint_build lint_tmp

# files REGEX: the tree's files whose path matches; what git ignores is not part of the tree.
files() {
    if [[ -e .git ]]; then
        git -c safe.directory='*' ls-files -co --exclude-standard
    else
        find . -type f | sed 's#^\./##'
    fi | grep -E "$1" | sort | while read -r path; do
        if [[ -f $path ]]; then printf '%s\n' "$path"; fi # git also lists what was deleted a moment ago
    done
}

# strip FILE: its text with comments and the insides of strings blanked, line for line. strip_all FILE...: theirs, each line behind
# `FILE:NUMBER:`.
strip_code='s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
    {my $t = defined $1 ? $1 : $2; my $q = defined $1 ? "" : "\""; $t =~ s/[^\n]//g; "$q$t$q"}gsex;'
strip() { perl -0777 -pe "$strip_code" "$1"; }
strip_all() { perl -0777 -ne "$strip_code"' my $n = 0; s/^/"$ARGV:" . ++$n . ":"/gme; print' "$@"; }

fixture() { # fixture PATH: writes standard input there
    mkdir -p "$(dirname "$1")"
    cat >"$1"
}

self_test() {
    local kind=$1 expected=$2 found
    mkdir "$lint_tmp/$kind"
    found=$(cd "$lint_tmp/$kind" && "${kind}_fixture" && check)
    if [[ $(grep -c . <<<"$found" || true) -ne $expected ]]; then
        printf 'this check is broken: expected %s findings in its %s fixture, got:\n%s\n' "$expected" "$kind" "$found"
        exit 1
    fi
}

lint_run() {
    local found
    self_test bad "${bad_findings:?}"
    self_test good 0
    cd "$lint_root"
    found=$(check)
    if [[ -n $found ]]; then
        printf '%s\n\n%s\n' "$found" "$(advice)"
        exit 1
    fi
    echo "nothing found (and the check found all $bad_findings faults of its bad fixture)"
}
