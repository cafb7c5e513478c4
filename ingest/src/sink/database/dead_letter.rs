//! Dead letters as they are stored: one for each record, however many of its transactions are
//! invalid. A record that comes again is the same letter; another one at the same place is another.

use sha2::{Digest as _, Sha256};

use crate::dead_letter::DeadLetter;
use crate::record::{Record, UnixMillis};
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
pub(super) struct Row<'l> {
    pub(super) record: &'l Record,
    pub(super) class: &'static str,
    pub(super) error: String,
    pub(super) fingerprint: [u8; 32],
}

/// The rows of a batch's letters. Letters of one record stand next to each other.
pub(super) fn rows(dead_letters: &[DeadLetter]) -> Vec<Row<'_>> {
    dead_letters
        .chunk_by(|one, other| one.record.place == other.record.place)
        .filter_map(|dead_letters| {
            let first = dead_letters.first()?;
            let errors: Vec<_> = dead_letters.iter().map(error).collect();
            Some(Row {
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
