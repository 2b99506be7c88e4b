#!/usr/bin/env bash
# Every header compiles alone, as C17 and as C++17, and its include guard is named after its path.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "Include what the header uses; keep C-only constructs out of it; guard: PERIGEE_<PATH>_H."; }

# alone LANGUAGE COMPILER...: the first error of each of $headers, when it is all of a program; and a compiler that was killed.
alone() {
    local language=$1
    shift
    xargs -n16 -P2 "$@" -D_GNU_SOURCE -I. -Wall -Wno-unused-function -Wno-unused-const-variable -Werror \
        -fsyntax-only 2>&1 <<<"$headers" | grep -E 'error:|terminated|exited' | awk -F: -v as=" (alone as $language)" '!seen[$1]++ { print $0 as }'
    return 0
}

check() {
    local header guard headers
    headers=$(files '\.h$') || return
    while read -r header; do
        guard=PERIGEE_${header//[\/.]/_}
        grep -qE "^#ifndef ${guard^^}\$" "$header" || echo "$header: no include guard ${guard^^}"
    done <<<"$headers"
    alone C "${CC:-cc}" -x c -std=gnu17 -Wextra
    alone C++ g++ -x c++ -std=gnu++17
}

bad_findings=4
bad_fixture() {
    fixture a/needs.h <<<$'#ifndef PERIGEE_A_NEEDS_H\nuint32_t a(void);\n#endif' # 1 and 2: in both languages
    fixture a/c_only.h <<<$'#ifndef PERIGEE_A_C_ONLY_H\nvoid f(int template);\n#endif'
    fixture a/guard.h <<<$'#ifndef GUARD_H\n#endif'
}
good_fixture() { fixture a/b.h <<<$'#ifndef PERIGEE_A_B_H\n#include <stdint.h>\nuint32_t a(void);\n#endif'; }
lint_run
