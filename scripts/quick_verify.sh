#!/usr/bin/env bash
# Is a gateway that runs well? Health, readiness, one call, metrics: scripts/quick_verify.sh [RPC_URL] [ADMIN_URL]
set -euo pipefail
rpc=${1:-http://127.0.0.1:8899} admin=${2:-http://127.0.0.1:9090}
failures=0

step() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then
    echo "ok    $what"
  else
    echo "FAIL  $what" >&2
    failures=$((failures + 1))
  fi
}
# Pipes are read to their end: with `grep -q` curl would fail at what nobody reads.
call() {
  curl -sf -m 10 "$rpc" -H 'content-type: application/json' \
    -d '{"jsonrpc":"2.0","id":1,"method":"getSlot"}' | grep '"result":[0-9]'
}
metrics() { curl -sf -m 5 "$admin/metrics" | grep '^perijove_build_info'; }

step "health   $admin/health" curl -sf -m 5 "$admin/health"
step "ready    $admin/ready" curl -sf -m 5 "$admin/ready"
step "metrics  $admin/metrics" metrics
step "getSlot  $rpc" call
[ $failures = 0 ]
