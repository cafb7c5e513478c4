#!/usr/bin/env bash
# Brings a new version beside the running one, waits until it is well, moves the traffic, and takes the old one away.
# When the new one does not become well nothing has moved. docs/operations/blue-green.md tells the steps.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'END'
usage: scripts/deploy_blue_green.sh --tag TAG [--release NAME] [--namespace NAME] [--component gateway|ingest]
                                    [--chart PATH] [--timeout TIME] [--keep]

  --keep   leaves the old colour running, so that `helm rollback` brings it back at once

HELM names another helm than the one in the path.
END
}

wrong() {
  printf '%s\n' "$*" >&2
  usage >&2
  exit 2
}

release=perijove namespace=perijove component=gateway chart=charts/perijove timeout=10m keep='' tag=''
while [ $# -gt 0 ]; do
  case $1 in
    --release | --namespace | --component | --chart | --timeout | --tag)
      [ $# -gt 1 ] || wrong "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --keep) keep=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) wrong "$1 is not known" ;;
  esac
  shift
done
case $component in
  gateway) block=apiGateway ;;
  ingest) block=ingest ;;
  *) wrong "$component is neither gateway nor ingest" ;;
esac
[ -n "$tag" ] || wrong "--tag is needed: the version that comes"
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || wrong "$tag is no tag of an image"
for program in "${HELM:-helm}" kubectl python3; do
  command -v "$program" >/dev/null || {
    echo "$program is missing; it has to be in the path" >&2
    exit 2
  }
done

helm() { command "${HELM:-helm}" "$@" --namespace "$namespace"; }
say() { printf 'blue-green: %s\n' "$*"; }
upgrade() { helm upgrade "$release" "$chart" --reset-then-reuse-values --timeout "$timeout" "$@" >/dev/null; }

# The release's own values; what it leaves out has the chart's default.
value() {
  helm get values "$release" --all --output json |
    python3 -c "
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split('.'):
    value = value[key]
print(str(value).lower())" "$block.blueGreen.$1"
}

helm status "$release" >/dev/null || {
  say "there is no release $release in the namespace $namespace, or the cluster does not answer" >&2
  exit 1
}
[ "$(value enabled)" = true ] || {
  say "$block.blueGreen.enabled is not true in release $release" >&2
  exit 1
}
active=$(value active)
if [ "$active" = blue ]; then next=green; else next=blue; fi

# Texts by --set-string: of the tag 20261128 --set makes a number.
say "$active runs; $next comes beside it with $tag"
upgrade --set "$block.blueGreen.preview=true" --set-string "$block.blueGreen.$next.tag=$tag,$block.blueGreen.$next.digest="

deployment=$(helm get manifest "$release" | sed -n "s/^  name: \(.*$component-$next\)$/\1/p" | sed -n 1p)
[ -n "$deployment" ] || {
  say "release $release has no deployment that ends in $component-$next" >&2
  upgrade --set "$block.blueGreen.preview=false"
  exit 1
}
# Whether the new colour is well: its pods are ready, and callers get through to the gateway.
well() {
  kubectl --namespace "$namespace" rollout status "deployment/$deployment" --timeout "$timeout" || return 1
  [ "$component" != gateway ] || helm test "$release" --timeout "$timeout"
}

if ! well; then
  say "$next is not well; the traffic stays with $active" >&2
  upgrade --set "$block.blueGreen.preview=false"
  exit 1
fi

upgrade --set-string "$block.blueGreen.active=$next"
if ! well; then
  say "$next is not well with the traffic; it goes back to $active" >&2
  upgrade --set-string "$block.blueGreen.active=$active" --set "$block.blueGreen.preview=false"
  exit 1
fi
say "$next has the traffic"
if [ -n "$keep" ]; then
  say "$active runs on; back: helm rollback $release --namespace $namespace"
else
  upgrade --set "$block.blueGreen.preview=false"
  say "$active is gone"
fi
