#!/usr/bin/env bash
# The service unit is as hardened as the worker's sandbox lets it be: what takes that away is not set, the rest keeps it under a
# score of systemd's own judge.
# shellcheck source=tests/lint/common.sh
source "$(dirname "$0")/common.sh"

advice() { echo "configs/perigee.service says which options stay out, and why."; }

breaks_worker='^(RestrictNamespaces|ProtectKernelTunables|ProtectKernelLogs|ProtectProc|ProcSubset|ProtectHostname|PrivateUsers)='
check() {
    local unit=configs/perigee.service score
    grep -nE "$breaks_worker" "$unit" | sed "s#^#$unit:#; s#\$#: breaks the enclave worker#"
    for name in NoNewPrivileges=yes ProtectSystem=strict Type=notify WatchdogSec=30 LimitCORE=0 MemorySwapMax=0; do
        grep -qx "$name" "$unit" || echo "$unit: $name is missing"
    done
    score=$(systemd-analyze security --offline=true --no-pager "$unit" 2>/dev/null |
        sed -nE 's/.*Overall exposure level.*: ([0-9.]+) .*/\1/p')
    awk -v score="$score" 'BEGIN { exit !(score == "" || score > 4.0) }' && echo "$unit: exposure ${score:-unknown}, above 4.0"
    return 0
}

bad_findings=4
bad_fixture() { # the namespaces, two lines that are missing, the score
    fixture configs/perigee.service <<<$'[Service]\nExecStart=/bin/true\nRestrictNamespaces=yes\nNoNewPrivileges=yes\nType=notify\nLimitCORE=0\nMemorySwapMax=0'
}
good_fixture() { mkdir -p configs && cp "$lint_root/configs/perigee.service" configs/; }
if ! systemd-analyze security --help >/dev/null 2>&1 || ! systemd-analyze --help | grep -q -- --offline; then
    echo "SKIPPED: systemd-analyze judges no file offline here"
    exit 77
fi
lint_run
