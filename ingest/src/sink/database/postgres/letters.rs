//! Dead letters and gaps.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::Postgres;
use crate::record::{Place, Record, UnixMillis};
use crate::sink::database::letter::{self, Letter, LetterFilter};
use crate::sink::database::{Batch, Committed, StoreError};

/// Stores the letters of a batch, says which were new, and notes which were replayed with it.
pub(super) async fn store(
    connection: &mut PgConnection,
    batch: &Batch,
    committed: &mut Committed,
) -> Result<(), StoreError> {
    for row in letter::rows(&batch.letters) {
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
            committed.letters.push(row.class);
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

impl Postgres {
    pub(in crate::sink::database) async fn letters(
        &self,
        filter: &LetterFilter,
    ) -> Result<Vec<Letter>, StoreError> {
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

    pub(in crate::sink::database) async fn note_gap(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offsets: std::ops::Range<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO ingest_gaps (consumer_group, topic, partition, from_offset, to_offset)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        )
        .bind(group)
        .bind(topic)
        .bind(partition)
        .bind(offsets.start)
        .bind(offsets.end)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn letter(row: &PgRow) -> Result<Letter, StoreError> {
    let blob = |column: usize| -> Result<Option<Bytes>, StoreError> {
        Ok(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Bytes::from))
    };
    Ok(Letter {
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
