//! A record, or one transaction of it, that cannot be used: kept with the reason instead of
//! stopping the stream. The sinks decide where it is kept.

use crate::decode::DecodeError;
use crate::project::{OutOfBounds, Poisoned, ProjectError};
use crate::record::Record;

/// The letter. The same record and transaction give the same letter in every delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// With its whole payload: it can be processed again by a later version.
    pub record: Record,
    /// The index of the transaction in the message; `None` if the whole message is unusable.
    pub transaction: Option<usize>,
    /// The class of the error, from a fixed set.
    pub class: &'static str,
    /// What is wrong, for a person.
    pub error: String,
}

impl DeadLetter {
    /// The class of a record that made the program panic.
    pub const PANIC: &'static str = "panic";

    /// The class of a record whose rows the database refuses.
    pub const REFUSED: &'static str = "refused";

    /// Every class that there is.
    pub fn classes() -> impl Iterator<Item = &'static str> {
        let decoding = DecodeError::LABELS.iter().chain(OutOfBounds::LABELS);
        let reading = decoding.chain(ProjectError::LABELS).copied();
        reading.chain([Self::PANIC, Self::REFUSED])
    }

    /// A record whose payload is not a message.
    pub fn of_record(record: Record, error: &DecodeError) -> Self {
        Self {
            record,
            transaction: None,
            class: error.label(),
            error: error.to_string(),
        }
    }

    /// One transaction of a record; the payload is shared, not copied.
    pub fn of_transaction(record: Record, poisoned: &Poisoned) -> Self {
        Self {
            record,
            transaction: Some(poisoned.transaction),
            class: poisoned.fault.label(),
            error: poisoned.fault.to_string(),
        }
    }
}
