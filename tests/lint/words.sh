#!/usr/bin/env bash
# Words that have no place in the tree: marks of unfinished work, paths of somebody's machine, data outside the tree.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() {
    cat <<'TEXT'
Finish it or open an issue; name files by their path in the tree. The folder beside the tree may be named in
README.md and docs/ (as an argument of a command) and under tests/, which find it through PERIGEE_SHARED_DIR.
TEXT
}

# Spelt so that this file doesn't find itself.
unfinished='\b(TO''DO|FIX''ME|X''XX|HA''CK)\b'
machine='(^|[^A-Za-z0-9_.-])/(home|wo''rk|Users)/'
outside='\bsha''red/'

check() {
    local named=$lint_tmp/named
    files '.' | grep -vxE 'LICENSE' >"$named"
    xargs -d '\n' grep -HInE "$unfinished|$machine" <"$named" || true
    grep -vE '^(tests/|docs/|README\.md$)' "$named" | xargs -r -d '\n' grep -HInE "$outside" || true
}

bad_findings=4
bad_fixture() {
    printf '/* %s: later */\n/* %s */\n' TO''DO X''XX | fixture a.c
    fixture b.md <<<"see /ho""me/me/notes"
    fixture node/c.c <<<"open(../sha""red/rows.csv);"
}
good_fixture() {
    fixture a.c <<<'mkstemp("/tmp/a.XXXXXX");'
    fixture README.md <<<"./dev demo --rows ../sha""red/rows.csv"
}
lint_run
