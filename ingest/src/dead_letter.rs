//! A record, or one transaction of it, that cannot be used: kept with the reason instead of
//! stopping the stream. Where it is kept is for the sinks.

use crate::decode::DecodeError;
use crate::project::Poisoned;
use crate::record::Record;

/// What is kept. The same record and transaction give the same letter in every delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// With its payload, whole: it can be read again once the program is better.
    pub record: Record,
    /// The place of the transaction in the message; None when the whole message is of no use.
    pub transaction: Option<usize>,
    /// The class of the error, from a fixed set.
    pub class: &'static str,
    /// What is wrong, for a person.
    pub error: String,
}

impl DeadLetter {
    /// A record whose payload is no message.
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
