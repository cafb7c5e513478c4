#!/usr/bin/env bash
# Watches a gateway, and ingest if there is one, after a deployment: fails when health, errors, lag or throughput are not
# as they should be within the time. Needs curl only; in a cluster put `kubectl port-forward` in front.
set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/monitor_deployment.sh [--admin URL] [--ingest URL] [--time SECONDS] [--every SECONDS]
                                     [--max-errors PERCENT] [--max-lag RECORDS] [--min-rate MESSAGES_PER_SECOND]
                                     [--token TOKEN] [--ca FILE] [--cert FILE --cert-key FILE]

  --admin     admin port of the gateway: http://127.0.0.1:9090
  --ingest    port of ingest; without it only the gateway is watched
  --token     admin.token of the gateway, or PERIJOVE_ADMIN_TOKEN in the environment (there other users do not see it)
  --ca        PEM file of the authority that signed the certificates, or PERIJOVE_CA; by default the system's
  --cert, --cert-key
              client certificate, PEM files, or PERIJOVE_CERT and PERIJOVE_CERT_KEY
END
}

admin=http://127.0.0.1:9090 ingest='' time=60 every=10 max_errors=1 max_lag=10000 min_rate=0
token=${PERIJOVE_ADMIN_TOKEN:-} ca=${PERIJOVE_CA:-} cert=${PERIJOVE_CERT:-} cert_key=${PERIJOVE_CERT_KEY:-}
wrong() {
  printf '%s\n' "$*" >&2
  usage >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --admin | --ingest | --time | --every | --max-errors | --max-lag | --min-rate | --token | --ca | --cert | --cert-key)
      [ $# -gt 1 ] || wrong "$1 needs a value"
      case $1 in
        --admin | --ingest | --token | --ca | --cert | --cert-key) ;;
        *) [[ $2 =~ ^[0-9]+$ ]] || wrong "$1 needs a whole number, not $2" ;;
      esac
      name=${1#--}
      printf -v "${name/-/_}" %s "$2"
      shift
      ;;
    -h | --help) usage && exit 0 ;;
    *) wrong "$1 is not known" ;;
  esac
  shift
done
command -v curl >/dev/null || wrong "curl is missing; install it with: apt-get install curl"

problems=0
problem() {
  printf 'PROBLEM %s\n' "$*" >&2
  problems=$((problems + 1))
}
tls=(${ca:+--cacert "$ca"} ${cert:+--cert "$cert"} ${cert_key:+--key "$cert_key"})
# ask URL CURL...: the gateway with its token, which is in no list of processes; ingest has none.
ask() {
  local shown=''
  case $1 in "$admin"/*) shown=$token ;; esac
  curl -s -m 5 "${tls[@]}" -H @<([ -z "$shown" ] || printf 'authorization: Bearer %s\n' "$shown") "$@"
}
# status URL: of an answer; 000 if there is none.
status() { ask "$1" -o /dev/null -w '%{http_code}' || true; }
# read_metrics URL: the metrics of a program into `metrics`; none, and a problem, if it does not give them.
read_metrics() {
  metrics=$(ask "$1/metrics" -f) || {
    metrics=''
    case $(status "$1/metrics") in
      401) problem "$1/metrics needs admin.token: --token or PERIJOVE_ADMIN_TOKEN" ;;
      *) problem "$1/metrics cannot be read" ;;
    esac
  }
}

# sum NAME [LABELS]: the sum of a metric's series whose labels match.
sum() { awk -v name="$1" -v labels="${2:-}" '
  index($1, name) == 1 && substr($1, length(name) + 1, 1) ~ /^[{]?$/ && $0 ~ labels { total += $NF }
  END { printf "%.0f\n", total }' <<<"$metrics"; }

calls() { sum perijove_rpc_calls_total "$1"; }
readonly FAILED='outcome="(no_upstream|saturated|key_refused|rate_limited|outcome_unknown)"'

ready() { status "$1/ready"; }

[ "$(ready "$admin")" = 200 ] || problem "the gateway at $admin is not ready"
read_metrics "$admin"
all_before=$(calls '') failed_before=$(calls "$FAILED")
stored_before=0
if [ -n "$ingest" ]; then
  read_metrics "$ingest"
  stored_before=$(sum messages_processed_total)
fi
all=0 failed=0 stored=0

end=$((SECONDS + time))
while [ $SECONDS -lt $end ]; do
  sleep "$every"
  [ "$(ready "$admin")" = 200 ] || problem "the gateway is not ready"
  read_metrics "$admin"
  if [ -n "$metrics" ]; then
    healthy=$(sum perijove_upstream_state 'state="healthy"')
    [ "$healthy" -gt 0 ] || problem "no upstream is healthy"
    all=$(($(calls '') - all_before)) failed=$(($(calls "$FAILED") - failed_before))
    printf 'calls %s, failed %s, healthy upstreams %s' "$all" "$failed" "$healthy"
  fi
  if [ -n "$ingest" ]; then
    [ "$(ready "$ingest")" = 200 ] || problem "ingest is not ready"
    read_metrics "$ingest"
    if [ -n "$metrics" ]; then
      lag=$(sum kafka_consumer_lag) stored=$(($(sum messages_processed_total) - stored_before))
      [ "$lag" -le "$max_lag" ] || problem "the lag is $lag records"
      printf ', lag %s' "$lag"
    fi
  fi
  printf '\n'
done

if [ "$all" -gt 0 ] && [ $((failed * 100)) -gt $((all * max_errors)) ]; then
  problem "$failed of $all calls failed"
fi
if [ -n "$ingest" ] && [ "$min_rate" -gt 0 ]; then
  rate=$((stored / time))
  [ "$rate" -ge "$min_rate" ] || problem "$rate messages a second, not $min_rate"
fi
[ $problems = 0 ] || exit 1
echo "all is well"
