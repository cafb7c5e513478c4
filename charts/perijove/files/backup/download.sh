#!/bin/sh
# Copies one backup out of a bucket. Environment:
#   BACKUP_DIR  where to
#   BUCKET      where from, as rclone names it
#   FROM        the name of one, or `latest`
set -eu

if [ "$FROM" = latest ]; then
  FROM=$(rclone lsf --dirs-only "$BUCKET" | grep -E '^[0-9]{8}-[0-9]{6}Z/$' | sort | tail -n 1)
  [ -n "$FROM" ] || {
    echo "there is no backup in $BUCKET" >&2
    exit 1
  }
  FROM=${FROM%/}
fi
rclone copy "$BUCKET/$FROM" "$BACKUP_DIR/$FROM"
echo "copied $FROM"
