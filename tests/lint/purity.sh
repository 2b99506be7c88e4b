#!/usr/bin/env bash
# proto/ is pure: it calls nothing but memory functions, panic and crypto/hash.h, and keeps no state of its own.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() {
    cat <<'TEXT'
proto/ performs no I/O, reads no clock, draws no entropy and holds no state outside the objects it is given.
Make the need an effect and let it come back as an event.
TEXT
}

allowed_calls() {
    printf '%s\n' memcpy memmove memset memcmp memchr strlen strcmp strncmp # libc's memory and string functions
    printf '%s\n' panic __stack_chk_fail _GLOBAL_OFFSET_TABLE_            # the program's; the compiler's
    printf '%s\n' __udivti3 __umodti3 __divti3 __modti3 __popcountdi2     # the compiler's own arithmetic
    strip "$lint_root/crypto/hash.h" | grep -oE '[a-z0-9_]+\(' | tr -d '('
}

# findings_in ARCHIVE: symbols it needs and may not, and objects it keeps between calls.
findings_in() {
    comm -23 <(nm -u "$1" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u) \
        <({ nm --defined-only "$1" 2>/dev/null | awk 'NF == 3 { print $3 }'; allowed_calls; } | sort -u) |
        sed 's/^/proto\/ may not call /'
    objdump -t "$1" | awk '$2 ~ /O/ || $3 ~ /O/ {
        for (i = 2; i <= NF; i++) if ($i ~ /^\.(data|bss|tdata|tbss)$/ || $i == "*COM*")
            print "proto/ may not keep state: " $NF }'
}

# links ARCHIVE: all of it links with no library at all, beside a file that holds what is allowed.
links() {
    cat >"$lint_tmp/world.c" <<'C'
typedef unsigned long size_t;
void *memcpy(void *a, const void *b, size_t n) { char *c = a; const char *d = b; while (n--) *c++ = *d++; return a; }
void *memmove(void *a, const void *b, size_t n) { return memcpy(a, b, n); }
void *memset(void *a, int v, size_t n) { char *c = a; while (n--) *c++ = (char)v; return a; }
int memcmp(const void *a, const void *b, size_t n) { (void)a; (void)b; return (int)n; }
void *memchr(const void *a, int v, size_t n) { (void)v; (void)n; return (void *)a; }
size_t strlen(const char *a) { (void)a; return 0; }
int strcmp(const char *a, const char *b) { return a == b; }
int strncmp(const char *a, const char *b, size_t n) { return a == b + n; }
void panic(const char *a, int b, const char *c) { (void)a; (void)b; (void)c; for (;;) {} }
void __stack_chk_fail(void) { for (;;) {} }
void _start(void) { for (;;) {} }
C
    strip "$lint_root/crypto/hash.h" | grep -oE '^(void|struct hash32) [a-z0-9_]+\(' |
        sed -E 's/.* ([a-z0-9_]+)\(/void \1(void) {}/' >>"$lint_tmp/world.c"
    ${CC:-cc} -w -O0 -fno-builtin -fno-stack-protector -nostdlib -static -no-pie -o "$lint_tmp/linked" \
        "$lint_tmp/world.c" -Wl,--whole-archive "$1" -Wl,--no-whole-archive -lgcc 2>&1 |
        grep -E 'undefined reference|multiple definition|error' | grep -v '^collect2' | sed 's/^/link test: /' || true
}

check() {
    local archive=libproto.a
    [[ -d tests/lint ]] && archive=$lint_build/proto/libproto.a
    findings_in "$archive"
    links "$archive"
}

archive_of() { # archive_of: libproto.a from the C on standard input
    ${CC:-cc} -w -O0 -fno-builtin -x c -c -o part.o -
    ar rcs libproto.a part.o
}
bad_findings=5 # two calls, each seen by nm and by the linker; one variable
bad_fixture() {
    archive_of <<'C'
#include <time.h>
#include <stdlib.h>
static int count = 1;
long a(void); long a(void) { count++; return time(0) + rand(); }
C
}
good_fixture() {
    archive_of <<'C'
#include <string.h>
static const int table[] = {1, 2};
int a(const char *s); int a(const char *s) { return table[strlen(s) & 1]; }
C
}

if [[ ! -e $lint_build/proto/libproto.a ]]; then
    echo "SKIPPED: $lint_build/proto/libproto.a is not built"
    exit 77
fi
if nm -u "$lint_build/proto/libproto.a" 2>/dev/null | grep -qE '__(asan|tsan|ubsan|gcov|llvm|sanitizer)_'; then
    echo "SKIPPED: an instrumented build calls its instruments"
    exit 77
fi
lint_run
