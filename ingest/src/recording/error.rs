//! Why a file is not a recording, or not a complete one.

use std::io;

/// What is wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("not a recording: the header is missing")]
    Magic,
    #[error("recording format version {0} is not supported")]
    Version(u8),
    /// The bytes of a record are not those that were written.
    #[error("damaged at byte {at}: {what}")]
    Damaged { at: u64, what: &'static str },
    /// A record that the format has no room for.
    #[error("the record has {0} bytes, more than a recording can hold")]
    TooLarge(usize),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An incomplete last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ends in the middle of a record at byte {at}: its writer was stopped; the {records} records before it are complete"
)]
pub struct Truncated {
    /// Where the record begins; truncating the file here repairs it.
    pub at: u64,
    /// How many whole records there are.
    pub records: u64,
}
