//! When the signatures that no socket serves are looked up.

use tokio::task::JoinHandle;
use tokio::time::Instant;

/// When signatures are looked up, and which are next.
#[derive(Debug, Default)]
pub(super) struct UnservedSignatures {
    pub(super) again_at: Option<Instant>,
    /// The last topic that was looked up.
    pub(super) last: u64,
    pub(super) call: Option<JoinHandle<bool>>,
}
