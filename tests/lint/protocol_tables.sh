#!/usr/bin/env bash
# docs/PROTOCOL.md's tables are what proto/wire/table.h and proto/refusal.h say. Write them with: protocol_tables.sh --write
set -euo pipefail
source_dir=${PERIGEE_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
doc=$source_dir/docs/PROTOCOL.md
"${CC:-cc}" -std=gnu17 -I"$source_dir" -o "$work/print" "$source_dir/tests/lint/protocol_tables.c"
"$work/print" | sed "s/, *|$/ |/" >"$work/tables"

# The section's text, without its heading.
section() { awk '/^## /{on=($0=="## Record and message tables"); next} on' "$1" | sed '/./,$!d'; }
normal() { sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'; }

if [[ ${1:-} == --write ]]; then
    awk -v tables="$work/tables" '
        /^## / { on = ($0 == "## Record and message tables")
                 print
                 if (on) { print ""; while ((getline line < tables) > 0) print line; print "" }
                 next }
        !on' "$doc" >"$work/doc"
    cp "$work/doc" "$doc"
    exit 0
fi
if ! diff <(section "$doc" | normal) <(normal <"$work/tables") >"$work/diff"; then
    echo "docs/PROTOCOL.md differs from proto/wire/table.h or proto/refusal.h (run tests/lint/protocol_tables.sh --write):"
    head -20 "$work/diff"
    exit 1
fi
# The check can fail: a changed line is found.
if diff <(section "$doc" | sed '6s/|/!/' | normal) <(normal <"$work/tables") >/dev/null; then
    echo "protocol_tables.sh does not find a planted difference"
    exit 1
fi
echo "tables agree"
