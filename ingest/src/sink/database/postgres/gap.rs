//! Writes what is missing before a batch.

use std::ops::Range;

use sqlx::PgConnection;

use crate::sink::database::{DatabaseError, Lane};

/// Stores a gap of a lane. One that begins where a known one began extends it.
pub(super) async fn store(
    connection: &mut PgConnection,
    lane: &Lane,
    gap: &Range<i64>,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO ingest_gaps AS g (consumer_group, topic, partition, from_offset, to_offset)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (consumer_group, topic, partition, from_offset) DO UPDATE SET
             to_offset = greatest(g.to_offset, excluded.to_offset), noticed_at = now()",
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
