#!/usr/bin/env bash
# Who may include whom, and the one home of every foreign header.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() {
    cat <<'TEXT'
Allowed: proto/base -> itself; proto -> proto, crypto/hash.h, crypto/types.h; crypto -> crypto, proto/base;
storage -> storage, proto/base, crypto/hash.h; gpu -> gpu, crypto, proto/base; sim -> sim, proto, crypto, storage;
node -> node, proto, crypto, storage, gpu; node/main.c also one header of sim; tests -> everything.
Foreign headers: uv, nng, libwebsockets, jansson, cyaml, yaml, seccomp in node/; mpi in node/ranks_mpi.c; lmdb in storage/; sodium,
secp256k1, openssl, blake3 in crypto/; msgpack in proto/wire; CUDA in gpu/*.cu. proto/ sees no header that reaches
the system. Move the code to where the library lives, or send what you need down as a value.
TEXT
}

check() {
    files '^(proto|crypto|storage|gpu|node|sim)/.*\.(c|h|cu|cuh)$' | xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include' |
        awk -F: '
        function ours(from, to) {
            if (from ~ /^proto\/base\//) return to ~ /^proto\/base\//
            if (from ~ /^proto\//) return to ~ /^proto\// || to == "crypto/hash.h" || to == "crypto/types.h"
            if (from ~ /^crypto\//) return to ~ /^(crypto|proto\/base)\//
            if (from ~ /^storage\//) return to ~ /^(storage|proto\/base)\// || to == "crypto/hash.h"
            if (from ~ /^gpu\//) return to ~ /^(gpu|crypto|proto\/base)\//
            if (from ~ /^sim\//) return to ~ /^(sim|proto|crypto|storage)\//
            if (from == "node/main.c" && to ~ /^sim\//) return ++sim_headers <= 1
            return to ~ /^(node|proto|crypto|storage|gpu)\//
        }
        function foreign_home(to) {
            if (to == "mpi.h") return "^node/ranks_mpi\\.c$" # a module of its own: the program links no MPI
            if (to ~ /^(uv|libwebsockets|jansson|yaml|seccomp)\.h$/ || to ~ /^(nng|cyaml|uv)\//) return "^node/"
            if (to == "lmdb.h") return "^storage/"
            if (to ~ /^sodium/ || to ~ /^secp256k1/ || to ~ /^openssl\// || to == "blake3.h") return "^crypto/"
            if (to ~ /^msgpack/) return "^proto/wire/"
            if (to ~ /^(cuda|cublas|curand|cooperative_groups|mma|nvtx)/) return "^gpu/.*\\.cuh?$"
            return ""
        }
        BEGIN {
            pure = "^(stdint|stdbool|stddef|stdarg|limits|string|inttypes|stdalign|stdnoreturn)\\.h$"
            system_header = "^(assert|complex|ctype|errno|fcntl|fenv|float|dlfcn|getopt|grp|iso646|locale|math|netdb|poll|pthread|pwd|regex|sched|semaphore|setjmp|signal|spawn|strings|stdatomic|stdio|stdlib|syslog|tgmath|termios|threads|time|unistd|dirent|fnmatch|ftw|glob|libgen|ifaddrs|endian|wchar|immintrin|x86intrin|cpuid|arm_neon)\\.h$"
        }
        {
            from = $1
            match($0, /include[[:space:]]*[<"][^>"]*/)
            to = substr($0, RSTART, RLENGTH)
            quoted = to ~ /"/
            sub(/include[[:space:]]*[<"]/, "", to)
            at = from ":" $2 ": "
            if (quoted) {
                if (!ours(from, to)) print at from " may not include \"" to "\""
                next
            }
            home = foreign_home(to)
            if (home != "") {
                if (from !~ home) print at "<" to "> belongs elsewhere"
            } else if (from ~ /^proto\//) {
                if (to !~ pure) print at "<" to "> in proto/, which is pure"
            } else if (from ~ /\.cuh?$/ && to ~ /^[a-z_]+$/) {
                next # the C++ library
            } else if (to !~ pure && to !~ system_header && to !~ /^(sys|linux|arpa|net|netinet|bits|asm)\//) {
                print at "<" to "> has no home"
            }
        }'
}

bad_findings=11
bad_fixture() {
    fixture proto/base/a.h <<<'#include "proto/core.h"'
    fixture proto/b.c <<<$'#include "crypto/secret.h"\n#include <stdio.h>\n#include <sodium.h>'
    fixture storage/c.c <<<$'#include "proto/record.h"\n#include <lmdb.h>'
    fixture gpu/d.c <<<'#include <cuda_runtime.h>'
    fixture crypto/e.c <<<'#  include "storage/store.h"'
    fixture node/main.c <<<$'#include "sim/sim.h"\n#include "sim/queue.h"'
    fixture node/f.c <<<'#include "sim/sim.h"'
    fixture node/g.c <<<$'#include <boost.h>\n#include <mpi.h>'
}
good_fixture() {
    fixture proto/base/a.h <<<'#include <stdint.h>'
    fixture proto/wire/b.c <<<$'#include "crypto/hash.h"\n#include <msgpack.h>'
    fixture gpu/d.cu <<<$'#include <cuda_runtime.h>\n#include "gpu/engine.h"'
    fixture node/main.c <<<$'#include "sim/sim.h"\n#include <uv.h>\n#include <sys/stat.h>'
    fixture tests/unit/x_test.c <<<'#include <sodium.h>'
}
lint_run
