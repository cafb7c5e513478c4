#!/bin/sh
# Copies a backup that was just made to a bucket. Environment:
#   BACKUP_DIR  where it lies
#   BUCKET      where to, as rclone names it
#   KEEP        how many backups are kept there
set -eu

rclone copy "$BACKUP_DIR" "$BUCKET"
echo "copied to $BUCKET"

# The oldest go, but for the newest KEEP. Who may write but not delete has a rule of the bucket's for that.
rclone lsf --dirs-only "$BUCKET" | grep -E '^[0-9]{8}-[0-9]{6}Z/$' | sort -r | tail -n "+$((KEEP + 1))" |
  while read -r old; do
    if rclone purge "$BUCKET/${old%/}"; then
      echo "backup ${old%/} removed"
    else
      echo "backup ${old%/} stays: it cannot be removed" >&2
    fi
  done
