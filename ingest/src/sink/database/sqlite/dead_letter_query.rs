//! Reads dead letters.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Sqlite;
use crate::record::{Place, Record, UnixMillis};
use crate::sink::database::DatabaseError;
use crate::sink::database::dead_letter::{
    DeadLetterFilter, DeadLetterSummary, StoredDeadLetter, summary,
};

impl Sqlite {
    pub(in crate::sink::database) async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<StoredDeadLetter>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT id, topic, partition, kafka_offset, recorded_at, key, payload, class, error,
                 created_at, replayed_at
             FROM dead_letters
             WHERE id > ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR class = ?3)
                 AND (?4 OR replayed_at IS NULL)
             ORDER BY id LIMIT ?5",
        )
        .bind(filter.after)
        .bind(filter.id)
        .bind(&filter.class)
        .bind(filter.replayed)
        .bind(filter.most)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(letter).collect()
    }

    pub(in crate::sink::database) async fn dead_letter_summaries(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetterSummary>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT id, topic, partition, kafka_offset, class, error,
                 coalesce(length(payload), 0), replayed_at IS NOT NULL
             FROM dead_letters
             WHERE id > ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR class = ?3)
                 AND (?4 OR replayed_at IS NULL)
             ORDER BY id LIMIT ?5",
        )
        .bind(filter.after)
        .bind(filter.id)
        .bind(&filter.class)
        .bind(filter.replayed)
        .bind(filter.most)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(summary).collect()
    }
}

fn letter(row: &SqliteRow) -> Result<StoredDeadLetter, DatabaseError> {
    let blob = |column: usize| -> Result<Option<Bytes>, DatabaseError> {
        Ok(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from))
    };
    Ok(StoredDeadLetter {
        id: row.try_get(0)?,
        record: Record {
            place: Place {
                topic: Arc::from(row.try_get::<&str, _>(1)?),
                partition: row.try_get(2)?,
                offset: row.try_get(3)?,
            },
            timestamp: row.try_get::<Option<i64>, _>(4)?.map(UnixMillis),
            key: blob(5)?,
            payload: blob(6)?,
        },
        class: row.try_get(7)?,
        error: row.try_get(8)?,
        created: UnixMillis(row.try_get(9)?),
        replayed: row.try_get::<Option<i64>, _>(10)?.map(UnixMillis),
    })
}
