//! What the clients' side tells the task that manages the sockets to upstreams.

use std::sync::Arc;

use super::topic::Topic;

/// Commands from the clients' side.
#[derive(Debug)]
pub(super) enum FeedCommand {
    Added(Arc<Topic>),
    /// It has no subscribers any more.
    Removed(Arc<Topic>),
}
