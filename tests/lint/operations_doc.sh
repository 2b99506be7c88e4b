#!/usr/bin/env bash
# docs/OPERATIONS.md names every configuration key, scope, metric and log event there is, and no metric that is not there.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "Say in docs/OPERATIONS.md what it is and what to do about it, or take out what is gone."; }

doc=docs/OPERATIONS.md
named() { grep -qE -- "\`$1[\`{]" $doc || echo "$doc: $2 \"$1\" is not explained"; }
keys() { # of node/config.c: `name`, or `section.name`
    awk '/_fields\[\] = \{/ { match($0, /[a-z]+_fields/); section = substr($0, RSTART, RLENGTH - 7)
            section = section == "config" ? "" : section == "peer" ? "-" : section "." }
        { while (match($0, /CYAML_FIELD_[A-Z_]+\("[a-z_]+"/)) { name = substr($0, RSTART, RLENGTH); sub(/.*\("/, "", name); sub(/"/, "", name)
            print (section == "-" ? "" : section) name; $0 = substr($0, RSTART + RLENGTH) } }' node/config.c | grep -vx store | grep -vx log
}
check() {
    local name
    while read -r name; do named "${name//./\\.}" "the key"; done < <(keys)
    while read -r name; do named "$name" "the scope"; done < <(sed -nE 's/.*X\(SCOPE_[A-Z]+, [0-9]+, "([a-z]+)".*/\1/p' node/scope.h)
    while read -r name; do named "${name//./\\.}" "the log event"; done < <(sed -nE 's/.*X\(LOG_[A-Z_]+, LOG_[A-Z]+, "([a-z.-]+)".*/\1/p' node/log.h)
    grep -oE '"(perigee|process)_[a-z_]+"' node/api_metrics.c | tr -d '"' | sort -u >"$lint_tmp/metrics"
    grep -oE '(perigee_queue_length(_max)?|perigee_build_info)' node/api_metrics.c | sort -u >>"$lint_tmp/metrics"
    while read -r name; do named "$name" "the metric"; done < <(sort -u "$lint_tmp/metrics")
    grep -oE '`(perigee|process)_[a-z_]+' $doc | tr -d '`' | sort -u | while read -r name; do
        grep -qx "$name" "$lint_tmp/metrics" || echo "$doc: there is no metric \"$name\""
    done
}

bad_findings=6
bad_fixture() {
    fixture node/config.c <<<$'static x config_fields[] = {\n    CYAML_FIELD_UINT("said", 0), CYAML_FIELD_UINT("unsaid", 0)};\nstatic x api_fields[] = {\n    CYAML_FIELD_UINT("unsaid", 0)};'
    fixture node/scope.h <<<'    X(SCOPE_X, 0, "x", "y")'
    fixture node/log.h <<<'    X(LOG_X, LOG_INFO, "x.y", "")'
    fixture node/api_metrics.c <<<'"perigee_unsaid"'
    fixture docs/OPERATIONS.md <<<$'`said` `perigee_gone`'
}
good_fixture() {
    fixture node/config.c <<<$'static x api_fields[] = {\n    CYAML_FIELD_UINT("said", 0)};'
    fixture node/scope.h <<<'    X(SCOPE_X, 0, "x", "y")'
    fixture node/log.h <<<'    X(LOG_X, LOG_INFO, "x.y", "")'
    fixture node/api_metrics.c <<<'"perigee_said"'
    fixture docs/OPERATIONS.md <<<$'`api.said` `x` `x.y` `perigee_said{a}`'
}
lint_run
