//! Writes the dead letters of a batch.

use sqlx::SqliteConnection;

use crate::sink::database::dead_letter::{self, LetterRow};
use crate::sink::database::{Committed, DatabaseError, RowBatch};

/// Stores the letters of a batch, says which were new, and notes which were replayed with it.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    batch: &RowBatch,
    committed: &mut Committed,
) -> Result<(), DatabaseError> {
    for row in dead_letter::rows(&batch.dead_letters) {
        adopt(connection, &row).await?;
        if insert(connection, &row).await? {
            committed.dead_letters.push(row.class);
        } else {
            update(connection, &row).await?;
        }
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

/// Recognizes a letter that an earlier version has stored without a fingerprint.
async fn adopt(
    connection: &mut SqliteConnection,
    row: &LetterRow<'_>,
) -> Result<(), DatabaseError> {
    let record = row.record;
    sqlx::query(
        "UPDATE dead_letters SET fingerprint = ?7
         WHERE topic = ?1 AND partition = ?2 AND kafka_offset = ?3 AND fingerprint = X''
             AND recorded_at IS ?4
             AND key IS ?5 AND payload IS ?6",
    )
    .bind(&*record.place.topic)
    .bind(record.place.partition)
    .bind(record.place.offset)
    .bind(record.timestamp.map(|time| time.0))
    .bind(record.key.as_deref())
    .bind(record.payload.as_deref())
    .bind(row.fingerprint.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether it was not there before.
async fn insert(
    connection: &mut SqliteConnection,
    row: &LetterRow<'_>,
) -> Result<bool, DatabaseError> {
    let record = row.record;
    let inserted = sqlx::query(
        "INSERT INTO dead_letters (topic, partition, kafka_offset, recorded_at, key, payload, class,
             error, fingerprint)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (topic, partition, kafka_offset, fingerprint) DO NOTHING",
    )
    .bind(&*record.place.topic)
    .bind(record.place.partition)
    .bind(record.place.offset)
    .bind(record.timestamp.map(|time| time.0))
    .bind(record.key.as_deref())
    .bind(record.payload.as_deref())
    .bind(row.class)
    .bind(&row.error)
    .bind(row.fingerprint.as_slice())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Another version may say something else of it.
async fn update(
    connection: &mut SqliteConnection,
    row: &LetterRow<'_>,
) -> Result<(), DatabaseError> {
    let place = &row.record.place;
    sqlx::query(
        "UPDATE dead_letters SET class = ?5, error = ?6
         WHERE topic = ?1 AND partition = ?2 AND kafka_offset = ?3 AND fingerprint = ?4",
    )
    .bind(&*place.topic)
    .bind(place.partition)
    .bind(place.offset)
    .bind(row.fingerprint.as_slice())
    .bind(row.class)
    .bind(&row.error)
    .execute(connection)
    .await?;
    Ok(())
}
