#!/bin/sh
# Puts the database of a backup back, whole or not at all. Environment:
#   BACKUP_DIR    where backups lie
#   FROM          the name of one, or `latest`
#   DATABASE_URL  the database; what is in it of the same tables is replaced
set -eu

if [ "$FROM" = latest ]; then
  FROM=$(find "$BACKUP_DIR" -mindepth 1 -maxdepth 1 -type d -name '[0-9]*Z' | sort | tail -n 1)
  [ -n "$FROM" ] || {
    echo "there is no backup in $BACKUP_DIR" >&2
    exit 1
  }
  FROM=$(basename "$FROM")
fi
backup="$BACKUP_DIR/$FROM"
[ -f "$backup/database.dump" ] || {
  echo "$backup holds no dump; there are:" >&2
  ls "$BACKUP_DIR" >&2
  exit 1
}

(cd "$backup" && sha256sum --quiet -c SHA256SUMS) || {
  echo "$FROM is damaged: nothing was changed" >&2
  exit 1
}

pg_restore --file=- --clean --if-exists --no-owner --no-privileges "$backup/database.dump" |
  psql --dbname="$DATABASE_URL" --quiet --no-psqlrc --single-transaction --set ON_ERROR_STOP=1 >/dev/null
echo "restored $FROM"
