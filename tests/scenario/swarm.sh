#!/usr/bin/env bash
# A fixed swarm: drawn scenarios, every property watched, each from its seed. PERIGEE_SWARM=n seeds from PERIGEE_SEED on.
set -euo pipefail
: "${PERIGEE:?the program}"
tmp=$(mktemp -d /tmp/perigee-swarm.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
"$PERIGEE" sim --swarm "${PERIGEE_SWARM:-150}" --seed "${PERIGEE_SEED:-1}" --failing "$tmp/failing.yaml" || {
    echo "the scenario that breaks it:"
    cat "$tmp/failing.yaml"
    exit 1
}
