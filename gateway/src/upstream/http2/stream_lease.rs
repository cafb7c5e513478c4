//! One stream of a connection, for one call.

use std::sync::Arc;

use super::session::Http2Connection;
use super::stream_signals::StreamSignals;
use crate::limit::GatePermit;

/// One stream of a connection, for one call. If dropped before the answer has ended, the stream is
/// reset and the connection lives on.
#[derive(Debug)]
pub(in crate::upstream) struct StreamLease {
    session: Arc<Http2Connection>,
    changed: Arc<StreamSignals>,
    /// Dropped last, so that the next call finds the stream free.
    place: Option<GatePermit>,
}

impl StreamLease {
    pub(super) fn new(session: Arc<Http2Connection>, changed: &Arc<StreamSignals>) -> Self {
        session.begin_stream();
        Self {
            session,
            changed: Arc::clone(changed),
            place: None,
        }
    }

    /// In use as long as the place is.
    #[must_use]
    pub(in crate::upstream) fn with(self, place: GatePermit) -> Self {
        let mut lease = self;
        lease.place = Some(place);
        lease
    }

    pub(super) fn session(&self) -> &Http2Connection {
        &self.session
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.session.end_stream();
        drop(self.place.take());
        self.changed.stream_ended();
    }
}
