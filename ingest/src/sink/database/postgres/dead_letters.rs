//! Writes the dead letters of a batch.

use sqlx::PgConnection;

use crate::sink::database::dead_letter;
use crate::sink::database::{Committed, DatabaseError, RowBatch};

/// Stores the letters of a batch, says which were new, and notes which were replayed with it.
pub(super) async fn store(
    connection: &mut PgConnection,
    batch: &RowBatch,
    committed: &mut Committed,
) -> Result<(), DatabaseError> {
    for row in dead_letter::rows(&batch.dead_letters) {
        let record = row.record;
        let inserted = sqlx::query(
            "INSERT INTO dead_letters (topic, partition, kafka_offset, recorded_at, key,
                 payload, class, error)
             VALUES ($1, $2, $3, to_timestamp($4::float8 / 1000), $5, $6, $7, $8)
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
            "UPDATE dead_letters SET class = $4, error = $5
                 WHERE topic = $1 AND partition = $2 AND kafka_offset = $3",
        )
        .bind(&*record.place.topic)
        .bind(record.place.partition)
        .bind(record.place.offset)
        .bind(row.class)
        .bind(row.error)
        .execute(&mut *connection)
        .await?;
    }
    if !batch.replayed.is_empty() {
        sqlx::query("UPDATE dead_letters SET replayed_at = now() WHERE id = ANY($1)")
            .bind(&batch.replayed)
            .execute(connection)
            .await?;
    }
    Ok(())
}
