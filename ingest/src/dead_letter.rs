//! A record, or one transaction of it, that cannot be used: kept with the reason instead of
//! stopping the stream. The sinks decide where it is kept.

use crate::decode::DecodeError;
use crate::project::Poisoned;
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
