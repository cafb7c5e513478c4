//! Writes what is missing before a batch.

use std::ops::Range;

use sqlx::SqliteConnection;

use crate::sink::database::{DatabaseError, Lane};

/// Stores a gap of a lane. One that begins where a known one began extends it.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    lane: &Lane,
    gap: &Range<i64>,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO ingest_gaps (consumer_group, topic, partition, from_offset, to_offset)
         VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (consumer_group, topic, partition, from_offset) DO UPDATE SET
             to_offset = max(to_offset, excluded.to_offset),
                 noticed_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    )
    .bind(&*lane.group)
    .bind(&*lane.topic)
    .bind(lane.partition)
    .bind(gap.start)
    .bind(gap.end)
    .execute(connection)
    .await?;
    Ok(())
}
