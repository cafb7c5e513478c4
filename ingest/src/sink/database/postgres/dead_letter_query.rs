//! Reads dead letters.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::Postgres;
use crate::record::{Place, Record, UnixMillis};
use crate::sink::database::DatabaseError;
use crate::sink::database::dead_letter::{
    DeadLetterFilter, DeadLetterSummary, StoredDeadLetter, summary,
};

impl Postgres {
    pub(in crate::sink::database) async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<StoredDeadLetter>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT id, topic, partition, kafka_offset,
                 (extract(epoch FROM recorded_at) * 1000)::bigint, key, payload, class, error,
                 (extract(epoch FROM created_at) * 1000)::bigint,
                 (extract(epoch FROM replayed_at) * 1000)::bigint
             FROM dead_letters
             WHERE id > $1 AND ($2::bigint IS NULL OR id = $2) AND ($3::text IS NULL OR class = $3)
                 AND ($4 OR replayed_at IS NULL)
             ORDER BY id LIMIT $5",
        )
        .bind(filter.after)
        .bind(filter.id)
        .bind(&filter.class)
        .bind(filter.replayed)
        .bind(filter.most)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(letter).collect()
    }

    pub(in crate::sink::database) async fn dead_letter_summaries(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetterSummary>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT id, topic, partition, kafka_offset, class, error,
                 coalesce(octet_length(payload), 0)::bigint, replayed_at IS NOT NULL
             FROM dead_letters
             WHERE id > $1 AND ($2::bigint IS NULL OR id = $2) AND ($3::text IS NULL OR class = $3)
                 AND ($4 OR replayed_at IS NULL)
             ORDER BY id LIMIT $5",
        )
        .bind(filter.after)
        .bind(filter.id)
        .bind(&filter.class)
        .bind(filter.replayed)
        .bind(filter.most)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(summary).collect()
    }
}

fn letter(row: &PgRow) -> Result<StoredDeadLetter, DatabaseError> {
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
