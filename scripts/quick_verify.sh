#!/usr/bin/env bash
# Is a gateway that runs well? Health, readiness, one call, metrics: scripts/quick_verify.sh [RPC_URL] [ADMIN_URL]
set -euo pipefail
case ${1:-} in
  -h | --help)
    sed -n '2s/^# //p' "$0"
    exit 0
    ;;
  -*)
    sed -n '2s/^# //p' "$0" >&2
    exit 2
    ;;
esac
command -v curl >/dev/null || { echo "curl is missing; install it with: apt-get install curl" >&2 && exit 2; }
rpc=${1:-http://127.0.0.1:8899} admin=${2:-http://127.0.0.1:9090}
failures=0

# step WHAT COMMAND...: says how it went, and what was said where it did not go well.
step() {
  local what=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "ok    $what"
  else
    printf 'FAIL  %s\n%s\n' "$what" "${said:-nothing was said}" | sed '2,$s/^/      /' >&2
    failures=$((failures + 1))
  fi
}
# The body of an answer, whatever its status; fails unless that is a good one.
ask() { curl -sS -m 10 --fail-with-body "$@"; }
# ask_for PATTERN CURL...: the same, and it has to hold something.
ask_for() {
  local pattern=$1 body
  shift
  body=$(ask "$@") || { printf '%s' "$body" | head -c 500 && return 1; }
  grep -q "$pattern" <<<"$body" || { printf 'this is no such answer: %s' "${body:0:300}" && return 1; }
}

step "health   $admin/health" ask "$admin/health"
step "ready    $admin/ready" ask "$admin/ready"
step "metrics  $admin/metrics" ask_for '^perijove_build_info' "$admin/metrics"
step "getSlot  $rpc" ask_for '"result":[0-9]' "$rpc" -H 'content-type: application/json' \
  -d '{"jsonrpc":"2.0","id":1,"method":"getSlot"}'
[ $failures = 0 ] || {
  echo "$failures of 4 failed; what to do: docs/operations" >&2
  exit 1
}
