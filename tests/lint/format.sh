#!/usr/bin/env bash
# Every C and CUDA file is as clang-format leaves it.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "Run ./dev fmt."; }

check() {
    files '\.(c|h|cc|cu|cuh)$' | xargs -r clang-format --style=file:"$lint_root/.clang-format" --dry-run 2>&1 |
        sed -nE 's/^([^ :]+):[0-9]+:[0-9]+: (warning|error).*/\1/p' | sort | uniq -c | awk '{ print $2 ": " $1 " places" }'
}

bad_findings=2
bad_fixture() {
    fixture a.c <<<'int  a(void){return 1;}'
    fixture b.h <<<'void  b( void );'
    fixture c.c <<<'int c;'
}
good_fixture() { fixture a.c <<<'int a(void);'; }
if ! command -v clang-format >/dev/null; then
    echo "SKIPPED: clang-format is not installed"
    exit 77
fi
lint_run
