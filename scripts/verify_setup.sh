#!/usr/bin/env bash
# Is everything there that a deployment needs? Programs, configuration, with --kafka the way to the brokers, and with
# --yellowstone whether the gRPC server that a Jupiter API of yours hears of its markets from can be reached:
#   scripts/verify_setup.sh [--gateway FILE] [--ingest FILE] [--kafka] [--yellowstone URL] [--bin FOLDER]
set -euo pipefail

wrong() {
  echo "$*" >&2
  sed -n '2,4s/^# //p' "$0" >&2
  exit 2
}

gateway='' ingest='' kafka='' yellowstone='' bin=''
while [ $# -gt 0 ]; do
  case $1 in
    --gateway | --ingest | --yellowstone | --bin)
      [ $# -gt 1 ] || wrong "$1 needs a value"
      case $1 in
        --gateway) gateway=$2 ;;
        --ingest) ingest=$2 ;;
        --yellowstone) yellowstone=$2 ;;
        --bin) bin=$2/ ;;
      esac
      shift
      ;;
    --kafka) kafka=yes ;;
    -h | --help)
      sed -n '2,4s/^# //p' "$0"
      exit 0
      ;;
    *) wrong "$1 is not known" ;;
  esac
  shift
done
[ -z "$kafka" ] || [ -n "$ingest" ] || wrong "--kafka needs --ingest, which says where the brokers are"
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
# program NAME: whether it is there and runs.
program() {
  command -v "$bin$1" >/dev/null ||
    { echo "$bin$1 is not there; build it with: cargo build --release --locked, or name its folder with --bin" && false; }
  "$bin$1" --version
}
# reached URL: whether something listens there. A gRPC server answers nothing that curl could ask.
reached() {
  [[ $1 =~ ^(https?)://([^/?#@:[:space:]]+)(:([0-9]{1,5}))?/?$ ]] || { echo "$1 is not http(s)://HOST:PORT" && return 1; }
  local host=${BASH_REMATCH[2]} port=${BASH_REMATCH[4]}
  [ -n "$port" ] || { if [ "${BASH_REMATCH[1]}" = https ]; then port=443; else port=80; fi; }
  # shellcheck disable=SC2016
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$host" "$port" ||
    { echo "$host:$port cannot be reached within 5 s" && return 1; }
}
# Files with secrets in them are nobody else's business.
closed() { [ -z "$(find "$1" -maxdepth 0 -perm /077)" ] || { echo "others may read it: chmod 600 $1" && false; }; }

step "perijove-gateway runs" program perijove-gateway
if [ -n "$gateway" ]; then step "$gateway" "${bin}perijove-gateway" check --config "$gateway"; fi
if [ -n "$ingest" ]; then
  step "perijove-ingest runs" program perijove-ingest
  step "$ingest" "${bin}perijove-ingest" check --config "$ingest"
  if [ -n "$kafka" ]; then step "Kafka" "${bin}perijove-ingest" test-connection --config "$ingest"; fi
fi
if [ -n "$yellowstone" ]; then step "Yellowstone at $yellowstone" reached "$yellowstone"; fi
if [ -f .env ]; then step ".env is closed to others" closed .env; fi
if [ $failures -gt 0 ]; then
  echo "$failures steps failed" >&2
  exit 1
fi
echo "everything is there"
