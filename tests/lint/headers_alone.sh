#!/usr/bin/env bash
# Every header compiles alone, as C17 and as C++17, and its include guard is named after its path.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "Include what the header uses; keep C-only constructs out of it; guard: PERIGEE_<PATH>_H."; }

one_header() {
    local guard
    guard=PERIGEE_$(tr 'a-z/.' 'A-Z__' <<<"$1")
    grep -qE "^#ifndef $guard\$" "$1" || echo "$1: no include guard $guard"
    echo "#include \"$1\"" | ${CC:-cc} -x c -std=gnu17 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -fsyntax-only - 2>&1 |
        grep -m1 -E 'error' | sed "s#^#$1 alone as C: #"
    echo "#include \"$1\"" | g++ -x c++ -std=gnu++17 -D_GNU_SOURCE -I. -Wall -Werror -fsyntax-only - 2>&1 |
        grep -m1 -E 'error' | sed "s#^#$1 alone as C++: #"
    return 0
}
export -f one_header

check() { files '\.h$' | xargs -r -n1 -P2 bash -c 'one_header "$1"' one; }

bad_findings=4
bad_fixture() {
    fixture a/needs.h <<<$'#ifndef PERIGEE_A_NEEDS_H\nuint32_t a(void);\n#endif' # 1 and 2: in both languages
    fixture a/c_only.h <<<$'#ifndef PERIGEE_A_C_ONLY_H\nvoid f(int template);\n#endif'
    fixture a/guard.h <<<$'#ifndef GUARD_H\n#endif'
}
good_fixture() { fixture a/b.h <<<$'#ifndef PERIGEE_A_B_H\n#include <stdint.h>\nuint32_t a(void);\n#endif'; }
lint_run
