#!/usr/bin/env bash
# Is a gateway that runs well? Health, readiness, one call, metrics.
set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/quick_verify.sh [RPC_URL] [ADMIN_URL] [--key KEY] [--token TOKEN] [--ca FILE] [--cert FILE --cert-key FILE]

  RPC_URL     http://127.0.0.1:8899
  ADMIN_URL   http://127.0.0.1:9090
  --key       API key for the call, or PERIJOVE_KEY in the environment (there other users do not see it)
  --token     admin.token, or PERIJOVE_ADMIN_TOKEN
  --ca        PEM file of the authority that signed the certificates, or PERIJOVE_CA; by default the system's
  --cert, --cert-key
              client certificate, PEM files, or PERIJOVE_CERT and PERIJOVE_CERT_KEY
END
}
wrong() {
  printf '%s\n' "$*" >&2
  usage >&2
  exit 2
}

urls=() key=${PERIJOVE_KEY:-} token=${PERIJOVE_ADMIN_TOKEN:-}
ca=${PERIJOVE_CA:-} cert=${PERIJOVE_CERT:-} cert_key=${PERIJOVE_CERT_KEY:-}
while [ $# -gt 0 ]; do
  case $1 in
    --key | --token | --ca | --cert | --cert-key)
      [ $# -gt 1 ] || wrong "$1 needs a value"
      name=${1#--}
      printf -v "${name/-/_}" %s "$2"
      shift
      ;;
    -h | --help) usage && exit 0 ;;
    -*) wrong "$1 is not known" ;;
    *) urls+=("$1") ;;
  esac
  shift
done
[ ${#urls[@]} -le 2 ] || wrong "${urls[2]} is one URL too many"
command -v curl >/dev/null || wrong "curl is missing; install it with: apt-get install curl"
rpc=${urls[0]:-http://127.0.0.1:8899} admin=${urls[1]:-http://127.0.0.1:9090}
tls=(${ca:+--cacert "$ca"} ${cert:+--cert "$cert"} ${cert_key:+--key "$cert_key"})
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
# A field of a request; none without a value. Read from a file, it is in no list of processes.
field() { [ -z "$2" ] || printf '%s: %s\n' "$1" "$2"; }
# The body of an answer, whatever its status; fails unless that is a good one.
ask() { curl -sS -m 10 --fail-with-body "${tls[@]}" "$@"; }
ask_admin() { ask -H @<(field authorization "${token:+Bearer $token}") "$@"; }
ask_rpc() { ask -H @<(field x-api-key "$key") -H 'content-type: application/json' "$@"; }
# holding PATTERN COMMAND...: the answer has to hold something.
holding() {
  local pattern=$1 body
  shift
  body=$("$@") || { printf '%s' "$body" | head -c 500 && return 1; }
  grep -q "$pattern" <<<"$body" || { printf 'this is no such answer: %s' "${body:0:300}" && return 1; }
}
# or CURE COMMAND...: what is missing where the answer is 401.
or() {
  local cure=$1 said
  shift
  said=$("$@" 2>&1) && return
  printf '%s\n' "$said"
  [[ $said != *"error: 401"* ]] || printf '%s\n' "$cure"
  return 1
}

step "health   $admin/health" ask_admin "$admin/health"
step "ready    $admin/ready" ask_admin "$admin/ready"
step "metrics  $admin/metrics" or "show admin.token with --token or PERIJOVE_ADMIN_TOKEN" \
  holding '^perijove_build_info' ask_admin "$admin/metrics"
step "getSlot  $rpc" or "show an API key with --key or PERIJOVE_KEY" \
  holding '"result":[0-9]' ask_rpc "$rpc" -d '{"jsonrpc":"2.0","id":1,"method":"getSlot"}'
[ $failures = 0 ] || {
  echo "$failures of 4 failed; what to do: docs/operations" >&2
  exit 1
}
