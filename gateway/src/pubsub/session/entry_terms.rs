//! The terms on which a call is carried out.

use tokio::time::Instant;

/// What was settled for a call together with the rest of its batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EntryTerms {
    /// When its answer is of no use any more.
    pub(super) deadline: Option<Instant>,
    /// The plan of the client has admitted it.
    pub(super) is_admitted: bool,
}
