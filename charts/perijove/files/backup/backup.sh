#!/bin/sh
# Makes one backup: configuration as it is mounted, and a dump of the database. Environment:
#   BACKUP_DIR    where backups lie; each is a folder named by its time
#   CONFIG_DIR    configuration to keep; holds references to secrets, never secrets
#   DATABASE_URL  the database; without it there is no dump
#   KEEP          how many backups are kept
set -eu

name=$(date -u +%Y%m%d-%H%M%SZ)
part="$BACKUP_DIR/.$name.part"
mkdir -p "$part"
trap 'rm -rf "$part"' EXIT

mkdir "$part/config"
for folder in "$CONFIG_DIR"/*/; do
  [ -d "$folder" ] || continue
  mkdir "$part/config/$(basename "$folder")"
  # ConfigMaps are mounted as links into a folder that begins with dots.
  cp -L "$folder"*.* "$part/config/$(basename "$folder")/"
done

if [ -n "${DATABASE_URL:-}" ]; then
  # libpq takes a whole URL as an argument only; the pod's list of processes is its own.
  pg_dump --dbname="$DATABASE_URL" --format=custom --no-owner --no-privileges --file="$part/database.dump"
  pg_restore --list "$part/database.dump" >"$part/database.list"
fi

(cd "$part" && find . -type f -exec sha256sum {} + >../.sums && mv ../.sums SHA256SUMS)
mv "$part" "$BACKUP_DIR/$name"
echo "backup $name made"

# The oldest go, but for the newest KEEP.
find "$BACKUP_DIR" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*Z' | sort -r | tail -n "+$((KEEP + 1))" |
  while read -r old; do
    rm -r "$old"
    echo "backup $(basename "$old") removed"
  done
