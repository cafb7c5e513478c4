//! Writes the dead letters of a batch.

use sqlx::SqliteConnection;

use crate::sink::database::dead_letter;
use crate::sink::database::{Committed, DatabaseError, RowBatch};

/// Stores the letters of a batch, says which were new, and notes which were replayed with it.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    batch: &RowBatch,
    committed: &mut Committed,
) -> Result<(), DatabaseError> {
    for row in dead_letter::rows(&batch.dead_letters) {
        let record = row.record;
        let inserted = sqlx::query(
            "INSERT INTO dead_letters (topic, partition, kafka_offset, recorded_at, key, payload,
                 class, error)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (topic, partition, kafka_offset) DO NOTHING",
        )
        .bind(&*record.place.topic)
        .bind(record.place.partition)
        .bind(record.place.offset)
        .bind(record.timestamp.map(|time| time.0))
        .bind(record.key.as_deref())
        .bind(record.payload.as_deref())
        .bind(row.class)
        .bind(&row.error)
        .execute(&mut *connection)
        .await?;
        if inserted.rows_affected() > 0 {
            committed.dead_letters.push(row.class);
            continue;
        }
        sqlx::query(
            "UPDATE dead_letters SET class = ?4, error = ?5
                 WHERE topic = ?1 AND partition = ?2 AND kafka_offset = ?3",
        )
        .bind(&*record.place.topic)
        .bind(record.place.partition)
        .bind(record.place.offset)
        .bind(row.class)
        .bind(row.error)
        .execute(&mut *connection)
        .await?;
    }
    for id in &batch.replayed {
        sqlx::query(
            "UPDATE dead_letters SET replayed_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
             WHERE id = ?",
        )
        .bind(id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
