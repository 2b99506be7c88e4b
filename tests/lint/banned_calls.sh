#!/usr/bin/env bash
# Calls that are not made here, each with what to use instead. Exceptions, explained, are in banned_calls.allow.
# (Whether memcmp meets a secret cannot be seen from a name: crypto/secret.h says what to use.)
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "If the call is right where it is, add a line to tests/lint/banned_calls.allow: path, name, why."; }

banned() {
    cat <<'TEXT'
strcpy       struct buffer of proto/base/span.h, or snprintf
strncpy      snprintf: strncpy leaves strings without an end
stpcpy       struct buffer of proto/base/span.h, or snprintf
strcat       struct buffer of proto/base/span.h, or snprintf
strncat      struct buffer of proto/base/span.h, or snprintf
sprintf      snprintf
vsprintf     vsnprintf
gets         fgets
strtok       struct cursor of proto/base/span.h, or strtok_r
scanf        struct cursor of proto/base/span.h
sscanf       struct cursor of proto/base/span.h
fscanf       struct cursor of proto/base/span.h
atoi         strtol with its end pointer and range checked
atol         strtol with its end pointer and range checked
atoll        strtoll with its end pointer and range checked
atof         strtod with its end pointer checked
rand         crypto/secret.h for secrets, the seeded generator for simulations and tests
srand        crypto/secret.h for secrets, the seeded generator for simulations and tests
random       crypto/secret.h for secrets, the seeded generator for simulations and tests
drand48      crypto/secret.h for secrets, the seeded generator for simulations and tests
system       posix_spawn or uv_spawn with an argument vector
popen        posix_spawn or uv_spawn with an argument vector
alloca       an arena, or an array of fixed size
tmpnam       mkstemp
tempnam      mkstemp
mktemp       mkstemp
gmtime       gmtime_r
localtime    localtime_r
ctime        strftime
asctime      strftime
bzero        memset, or the wipe of crypto/secret.h
bcopy        memmove
longjmp      enum err and TRY()
assert       ASSERT of proto/base/panic.h: it stays on in production
abort        panic of proto/base/panic.h
vfork        posix_spawn or uv_spawn
readdir_r    readdir
msgpack_unpack       proto/wire/pack.h: msgpack-c's unpacker allocates what a peer declares
msgpack_unpack_next  proto/wire/pack.h: msgpack-c's unpacker allocates what a peer declares
msgpack_unpacker_next proto/wire/pack.h: msgpack-c's unpacker allocates what a peer declares
TEXT
}

is_allowed() { # is_allowed PATH NAME
    awk -v path="$1" -v name="$2" '!/^#/ && NF > 2 && $1 == path && $2 == name { found = 1 } END { exit !found }' \
        "$lint_root/tests/lint/banned_calls.allow"
}

check() {
    local names paths path line name
    names=$(banned | awk '{ print $1 }' | paste -sd'|')
    mapfile -t paths < <(files '\.(c|h|cc|cu|cuh)$')
    strip_all "${paths[@]}" |
        names=$names perl -ne 'my ($path, $line, $text) = /^([^:]+):(\d+):(.*)/ or next;
            print "$path $line $1\n" while $text =~ /(?<![A-Za-z0-9_.>])($ENV{names})\s*\(/g' |
        while read -r path line name; do
            is_allowed "$path" "$name" ||
                echo "$path:$line: $name: use $(banned | sed -nE "s/^$name +//p")"
        done
}

bad_findings=4
bad_fixture() {
    fixture a.c <<'C'
int a(char *s)
{
    strcpy(s, "x"); /* 1 */
    return atoi (s) + rand(); /* 2 and 3 */
}
C
    fixture node/b.c <<<'void b(void) { system("ls"); }'
}
good_fixture() {
    fixture a.c <<'C'
/* strcpy(s, t) */
int a(const struct x *x) { log("rand()"); return x->system() + my_atoi("1") + strtok_r() + x.random(); }
C
}
lint_run
