//! A client of a topic.

use std::sync::Arc;

use crate::pubsub::caller_share::ShareGuard;
use crate::pubsub::outbox::Outbox;

/// Where a client is notified.
#[derive(Clone, Debug)]
pub(in crate::pubsub) struct Subscriber {
    pub(super) outbox: Arc<Outbox>,
    /// It is the gateway's own cache.
    pub(super) is_cache: bool,
    /// Counts for its caller until the client leaves or the topic ends.
    _counted: Option<Arc<ShareGuard>>,
}

impl Subscriber {
    /// One that counts for its caller.
    pub(in crate::pubsub) fn counted(outbox: &Arc<Outbox>, counted: ShareGuard) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            is_cache: false,
            _counted: Some(Arc::new(counted)),
        }
    }

    /// The gateway's own cache, which counts for nobody.
    pub(in crate::pubsub) fn cache(outbox: &Arc<Outbox>) -> Self {
        Self {
            is_cache: true,
            ..Self::from(outbox)
        }
    }
}

impl From<&Arc<Outbox>> for Subscriber {
    /// One that counts for nobody.
    fn from(outbox: &Arc<Outbox>) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            is_cache: false,
            _counted: None,
        }
    }
}
