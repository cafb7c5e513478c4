#!/usr/bin/env bash
# Is everything there that a deployment needs? Programs, configuration, and with --kafka the way to the brokers:
#   scripts/verify_setup.sh [--gateway FILE] [--ingest FILE] [--kafka] [--bin FOLDER]
set -euo pipefail

gateway='' ingest='' kafka='' bin=''
while [ $# -gt 0 ]; do
  case $1 in
    --gateway) gateway=$2 && shift ;;
    --ingest) ingest=$2 && shift ;;
    --bin) bin=$2/ && shift ;;
    --kafka) kafka=yes ;;
    *)
      sed -n '2,3s/^# //p' "$0" >&2
      exit 2
      ;;
  esac
  shift
done
failures=0

step() {
  local what=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "ok    $what"
  else
    printf 'FAIL  %s\n%s\n' "$what" "$said" >&2
    failures=$((failures + 1))
  fi
}
# Files with secrets in them are nobody else's business.
closed() { [ -z "$(find "$1" -maxdepth 0 -perm /077)" ] || { echo "others may read it: chmod 600 $1" && false; }; }

step "perijove-gateway runs" "${bin}perijove-gateway" --version
if [ -n "$gateway" ]; then step "$gateway" "${bin}perijove-gateway" check --config "$gateway"; fi
if [ -n "$ingest" ]; then
  step "perijove-ingest runs" "${bin}perijove-ingest" --version
  step "$ingest" "${bin}perijove-ingest" check --config "$ingest"
  if [ -n "$kafka" ]; then step "Kafka" "${bin}perijove-ingest" test-connection --config "$ingest"; fi
fi
if [ -f .env ]; then step ".env is closed to others" closed .env; fi
if [ $failures -gt 0 ]; then exit 1; fi
echo "everything is there"
