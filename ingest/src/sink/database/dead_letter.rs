//! Dead letters as they are stored: one for each record, however many of its transactions are
//! invalid. A record that comes again is the same letter; another one at the same place is another.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::dead_letter::DeadLetter;
use crate::record::{Place, Record, UnixMillis};
use crate::sink::database::DatabaseError;
use crate::sink::database::text::told;

/// A stored dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeadLetter {
    pub id: i64,
    pub record: Record,
    /// The class of the first error.
    pub class: String,
    /// What is wrong, for a person.
    pub error: String,
    pub created: UnixMillis,
    /// When it was successfully replayed.
    pub replayed: Option<UnixMillis>,
}

/// A stored dead letter without what was in its record, of which there may be megabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSummary {
    pub id: i64,
    pub place: Place,
    pub class: String,
    pub error: String,
    /// Of the payload.
    pub bytes: u64,
    pub replayed: bool,
}

/// Which letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// One of them.
    pub id: Option<i64>,
    /// Those with this class of error.
    pub class: Option<String>,
    /// Those that were replayed as well.
    pub replayed: bool,
    /// Those with greater ids.
    pub after: i64,
    /// Most of them.
    pub most: i64,
}

/// One row, made of all letters of a record.
pub(super) struct LetterRow<'l> {
    pub(super) record: &'l Record,
    pub(super) class: &'static str,
    pub(super) error: String,
    pub(super) fingerprint: [u8; 32],
}

/// Reads a row of the columns that both databases select in this order: id, topic, partition, offset,
/// class, error, length of the payload, whether it was replayed.
pub(super) fn summary<'r, R>(row: &'r R) -> Result<DeadLetterSummary, DatabaseError>
where
    R: Row,
    usize: ColumnIndex<R>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(DeadLetterSummary {
        id: row.try_get(0)?,
        place: Place {
            topic: Arc::from(row.try_get::<&str, _>(1)?),
            partition: row.try_get(2)?,
            offset: row.try_get(3)?,
        },
        class: row.try_get(4)?,
        error: row.try_get(5)?,
        bytes: row.try_get::<i64, _>(6)?.unsigned_abs(),
        replayed: row.try_get(7)?,
    })
}

/// The rows of a batch's letters. Letters of one record stand next to each other.
pub(super) fn rows(dead_letters: &[DeadLetter]) -> Vec<LetterRow<'_>> {
    dead_letters
        .chunk_by(|one, other| one.record.place == other.record.place)
        .filter_map(|dead_letters| {
            let first = dead_letters.first()?;
            let errors: Vec<_> = dead_letters.iter().map(error).collect();
            Some(LetterRow {
                record: &first.record,
                class: first.class,
                error: told(&errors.join("; ")).into_owned(),
                fingerprint: fingerprint(&first.record),
            })
        })
        .collect()
}

/// What tells a record from another at the same place: a topic may be recreated. The lengths come first,
/// so that no two records give the same bytes.
fn fingerprint(record: &Record) -> [u8; 32] {
    let mut hash = Sha256::new();
    let time = record.timestamp.map(|time| time.0.to_be_bytes());
    let parts = [
        time.as_ref().map(<[u8; 8]>::as_slice),
        record.key.as_deref(),
        record.payload.as_deref(),
    ];
    for part in parts {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.finalize().into()
}

fn error(letter: &DeadLetter) -> String {
    match letter.transaction {
        Some(place) => format!("transaction {place}: {}", letter.error),
        None => letter.error.clone(),
    }
}
