#!/usr/bin/env bash
# Watches a gateway, and ingest if there is one, after a deployment: fails when health, errors, lag or throughput are not
# as they should be within the time. Needs curl only; in a cluster put `kubectl port-forward` in front.
set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/monitor_deployment.sh [--admin URL] [--ingest URL] [--time SECONDS] [--every SECONDS]
                                     [--max-errors PERCENT] [--max-lag RECORDS] [--min-rate MESSAGES_PER_SECOND]
END
}

admin=http://127.0.0.1:9090 ingest='' time=60 every=10 max_errors=1 max_lag=10000 min_rate=0
while [ $# -gt 0 ]; do
  case $1 in
    --admin) admin=$2 && shift ;;
    --ingest) ingest=$2 && shift ;;
    --time) time=$2 && shift ;;
    --every) every=$2 && shift ;;
    --max-errors) max_errors=$2 && shift ;;
    --max-lag) max_lag=$2 && shift ;;
    --min-rate) min_rate=$2 && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done

problems=0
problem() {
  printf 'PROBLEM %s\n' "$*" >&2
  problems=$((problems + 1))
}
get() { curl -sf -m 5 "$1"; }

# sum NAME [LABELS]: the sum of a metric's series on standard input whose labels match.
sum() { awk -v name="$1" -v labels="${2:-}" '
  index($1, name) == 1 && substr($1, length(name) + 1, 1) ~ /^[{]?$/ && $0 ~ labels { total += $NF }
  END { printf "%.0f\n", total }'; }

calls() { get "$admin/metrics" | sum perijove_rpc_calls_total "$1"; }
readonly FAILED='outcome="(no_upstream|saturated|key_refused|rate_limited|outcome_unknown)"'

ready() { curl -s -m 5 -o /dev/null -w '%{http_code}' "$1/ready" || true; }

[ "$(ready "$admin")" = 200 ] || problem "the gateway at $admin is not ready"
all_before=$(calls '') failed_before=$(calls "$FAILED")
stored_before=0
if [ -n "$ingest" ]; then stored_before=$(get "$ingest/metrics" | sum messages_processed_total); fi

end=$((SECONDS + time))
while [ $SECONDS -lt $end ]; do
  sleep "$every"
  [ "$(ready "$admin")" = 200 ] || problem "the gateway is not ready"
  healthy=$(get "$admin/metrics" | sum perijove_upstream_state 'state="healthy"')
  [ "$healthy" -gt 0 ] || problem "no upstream is healthy"
  printf 'calls %s, failed %s, healthy upstreams %s' "$(($(calls '') - all_before))" "$(($(calls "$FAILED") - failed_before))" "$healthy"
  if [ -n "$ingest" ]; then
    [ "$(ready "$ingest")" = 200 ] || problem "ingest is not ready"
    lag=$(get "$ingest/metrics" | sum kafka_consumer_lag)
    [ "$lag" -le "$max_lag" ] || problem "the lag is $lag records"
    printf ', lag %s' "$lag"
  fi
  printf '\n'
done

all=$(($(calls '') - all_before)) failed=$(($(calls "$FAILED") - failed_before))
if [ "$all" -gt 0 ] && [ $((failed * 100)) -gt $((all * max_errors)) ]; then
  problem "$failed of $all calls failed"
fi
if [ -n "$ingest" ] && [ "$min_rate" -gt 0 ]; then
  rate=$((($(get "$ingest/metrics" | sum messages_processed_total) - stored_before) / time))
  [ "$rate" -ge "$min_rate" ] || problem "$rate messages a second, not $min_rate"
fi
[ $problems = 0 ] || exit 1
echo "all is well"
