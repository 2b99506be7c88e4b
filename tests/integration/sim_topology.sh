#!/usr/bin/env bash
# Graphviz draws what `perigee sim --dot` writes, with every party and every region in it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

if ! command -v dot >/dev/null; then
    echo "SKIPPED: no Graphviz here to draw the topology"
    exit 77
fi
"$PERIGEE" sim "$PERIGEE_SOURCE_DIR/configs/scenarios/cardio-renal.yaml" --dot places.dot >/dev/null
dot -Tsvg places.dot 2>err | sed "s/&#45;/-/g" >places.svg || fail "Graphviz does not take it: $(cat err places.dot)"
[[ ! -s err ]] || fail "Graphviz complains: $(cat err)"
for name in charite karolinska zurich cleveland gpu-dublin gpu-paris methods study-office 'germany (EU)' 'us-east (US)' 'uk (UK)'; do
    grep -qF ">$name<" places.svg || fail "the drawing has no $name"
done
