#!/usr/bin/env bash
# Every source file is built, every header is included by something.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "Delete the file, or use it. (CMake picks up *.c of a folder by name; tests must end in _test.c or _fuzz.c.)"; }

check() {
    local commands=$lint_build/compile_commands.json path pattern='\.c$'
    [[ -d tests/lint ]] || commands=compile_commands.json
    grep -q '\.cu"' "$commands" && pattern='\.(c|cu)$' # without nvcc the CUDA files are rightly left out
    grep -q '\.cc"' "$commands" && pattern="(${pattern}|\.cc\$)" # and without ns-3 what speaks to it
    files "$pattern" | while read -r path; do
        [[ $path == tests/lint/* ]] && grep -qF "$path" tests/lint/*.sh && continue # a script compiles it
        [[ $path == node/ranks_mpi.c ]] && ! pkg-config --exists ompi-c && continue # without Open MPI it is rightly left out
        echo "/$path\""
    done | sort >"$lint_tmp/sources"
    grep -oFf "$lint_tmp/sources" "$commands" | sort -u | comm -23 "$lint_tmp/sources" - |
        sed -E 's#^/(.*)"$#\1: nothing builds it#'
    files '\.(c|h|cc|cu|cuh)$' | xargs -r grep -hoE '^[[:space:]]*#[[:space:]]*include "[^"]+"' |
        sed -E 's/.*"([^"]+)"/\1/' | sort -u >"$lint_tmp/included"
    files '\.(h|cuh)$' | sort | comm -23 - "$lint_tmp/included" | sed 's/$/: nothing includes it/'
}

bad_findings=2
bad_fixture() {
    fixture a.c <<<'#include "a/used.h"'
    fixture b.c <<<''
    fixture a/used.h <<<''
    fixture a/unused.h <<<''
    fixture compile_commands.json <<<'[{"file": "/x/a.c"}]'
}
good_fixture() {
    fixture a.c <<<'#include "a/used.h"'
    fixture a/used.h <<<''
    fixture b.cu <<<''
    fixture compile_commands.json <<<'[{"file": "/x/a.c"}]'
}
if [[ ! -e $lint_build/compile_commands.json ]]; then
    echo "SKIPPED: $lint_build is not configured"
    exit 77
fi
lint_run
