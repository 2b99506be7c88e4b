#!/usr/bin/env bash
# Functions over 70 lines are listed, over 120 fail. Relies on the formatting: a body is between braces in column 0.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "Split it by what it says, not by where it is long."; }

# lengths: "PATH:LINE: NAME LINES" of every function over $1 lines.
lengths() {
    files '\.(c|h|cc|cu|cuh)$' | xargs -r awk -v limit="$1" '
        FNR == 1 { head = "" }
        /^[A-Za-z_].*\(/ { head = $0 }
        /^{/ { start = FNR }
        /^}/ && start {
            name = head; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
            if (FNR - start - 1 > limit) print FILENAME ":" start ": " name " has " FNR - start - 1 " lines"
            start = 0
        }'
}

check() { lengths 120; }

function_of() {
    echo "int function_of_$1(int a)"
    echo "{"
    for ((i = 0; i < $1; i++)); do echo "    a++;"; done
    echo "}"
}
bad_findings=1
bad_fixture() { { function_of 121; function_of 5; } | fixture a.c; }
good_fixture() { function_of 120 | fixture a.c; }
(cd "$lint_root" && lengths 70 | sed 's/^/warning: /')
lint_run
