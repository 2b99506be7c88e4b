#!/usr/bin/env bash
# Bugs that were planted on purpose, tests/planted/*.patch: each is put into one source file, that file is compiled and linked before
# the libraries into a program of its own, and a swarm of that program must break a property that the patch's first line names, within
# as many seeds as it says: `PROPERTY[|PROPERTY...] SEEDS FIRST: what is wrong`. FIRST is the seed that broke it when somebody last
# looked, and is tried before the others, which is all that it changes. What a swarm would seldom meet has a scenario beside it,
# NAME.yaml, which is played instead; with the program as it is, it breaks nothing. A patch that no longer applies is a failure.
# Arguments are names of patches; none: all.
set -euo pipefail
: "${PERIGEE:?the program}" "${PERIGEE_SOURCE_DIR:?}" "${PERIGEE_BUILD_DIR:?}"
export LC_ALL=C.UTF-8

tmp=$(mktemp -d /tmp/perigee-planted.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
export tmp
grep -q '' "$PERIGEE_BUILD_DIR/build.ninja" || { echo "SKIPPED: not a Ninja build"; exit 77; }

# How this build compiles a source file (with the full caps), and how it links the program.
compile_command() {
    awk -v file="\"$PERIGEE_SOURCE_DIR/$1\"" '
        /^ *"command":/ { command = $0; sub(/^ *"command": "/, "", command); sub(/",$/, "", command) }
        /^ *"file":/ && index($0, file) && command !~ /TINY_CAPS/ { print command; exit }' \
        "$PERIGEE_BUILD_DIR/compile_commands.json"
}
link_command() { ninja -C "$PERIGEE_BUILD_DIR" -t commands perigee | tail -1; }
link=$(link_command)
if command -v ld.lld >/dev/null; then link=${link/ -o perigee / -fuse-ld=lld -o perigee }; fi # in a third of the time
export link
export -f compile_command

# make_program NAME FILE: $tmp/NAME/perigee, with the patch NAME in it.
make_program() {
    local name=$1 file=$2 dir=$tmp/$1 compile
    mkdir -p "$dir/$(dirname "$file")"
    cp "$PERIGEE_SOURCE_DIR/$file" "$dir/$file"
    (cd "$dir" && git apply "$PERIGEE_SOURCE_DIR/tests/planted/$name.patch") || return 1
    compile=$(compile_command "$file")
    [[ -n $compile ]] || { echo "nothing builds $file"; return 1; }
    compile=$(sed -E "s#-o [^ ]+ -c [^ ]+#-o $dir/patched.o -c $dir/$file#" <<<"$compile")
    (cd "$PERIGEE_BUILD_DIR" && eval "$compile") || return 1
    (cd "$PERIGEE_BUILD_DIR" && eval "${link/ -o perigee / $dir/patched.o -o $dir/perigee }") || return 1
}

# hunt NAME PROGRAM SEEDS FIRST: what it says; 0 if nothing was broken.
hunt() {
    local scenario=$PERIGEE_SOURCE_DIR/tests/planted/$1.yaml
    if [[ -e $scenario ]]; then
        "$2" sim "$scenario"
    else
        "$2" sim --swarm 1 --seed "$4" --whole && "$2" sim --swarm "$3" --jobs 1 --whole
    fi
}

# plant NAME: says what came of it; 1 if nobody saw it.
plant() {
    local name=$1 patch=$PERIGEE_SOURCE_DIR/tests/planted/$1.patch wanted seeds first what file said
    IFS=' :' read -r wanted seeds first what < <(head -1 "$patch")
    file=$(sed -nE 's#^\+\+\+ b/([^[:space:]]+).*#\1#p' "$patch")
    make_program "$name" "$file" >"$tmp/$name.log" 2>&1 ||
        { cat "$tmp/$name.log"; echo "FAILED $name: it does not apply or build any more"; return 1; }
    if [[ -e ${patch%.patch}.yaml ]]; then
        said=$(hunt "$name" "$PERIGEE" 2>&1) || { echo "FAILED $name: its scenario breaks as it is: $said"; return 1; }
    fi
    said=$(cd "$tmp/$name" && hunt "$name" ./perigee "$seeds" "$first" 2>&1) &&
        { echo "FAILED $name: within $seeds seeds nobody saw that $what"; return 1; }
    if grep -qE "after [0-9]+ ms: ($wanted): " <<<"$said"; then
        echo "seen $name: $(grep -oE '(seed [0-9]+: )?after [0-9]+ ms: .*' <<<"$said" | sed -E 's/; ([0-9]+ other seeds|again:).*//')"
    else
        echo "FAILED $name: expected $wanted, the swarm said: $(tail -1 <<<"$said")"
        return 1
    fi
    rm -rf "${tmp:?}/$name"
}
export -f plant hunt make_program

if [[ $# -eq 0 ]]; then
    set -- "$PERIGEE_SOURCE_DIR"/tests/planted/*.patch
    set -- "${@##*/}"
    set -- "${@%.patch}"
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'plant {}' ||
    { echo "some planted bugs were not seen"; exit 1; }
echo "all $# planted bugs were seen"
