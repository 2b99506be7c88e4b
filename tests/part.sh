#!/usr/bin/env bash
# part NAME: the outcome of a part of `./dev test` that ran before this test run (sanitizers, by the other compiler),
# so that one ctest summary tells everything.
result=$PERIGEE_SOURCE_DIR/build/parts/$1
if [[ ! -e $result ]]; then
    echo "SKIPPED: $1 runs as part of a full ./dev test"
    exit 77
fi
echo "part $1: $(cat "$result"); its output is further up"
[[ $(cat "$result") == passed ]]
