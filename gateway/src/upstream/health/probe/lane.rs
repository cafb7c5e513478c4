//! The connections of a probe.

use std::sync::Arc;

use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;
use crate::upstream::state::member::Member;

/// Connections to one address for the probe only: it must work even when all connections of calls
/// are in use.
#[derive(Clone)]
pub(super) struct ProbeLane {
    pub(super) connections: Arc<Http1Connections>,
    pub(super) http2: Option<Arc<Http2Pool>>,
}

impl ProbeLane {
    pub(super) fn new(member: &Member) -> Self {
        let idle_timeout = member.settings.idle_timeout;
        let http2 = member.wire.endpoint.may_be_http2();
        Self {
            connections: Http1Connections::new(1, 1, idle_timeout),
            http2: http2.then(|| Http2Pool::new(1, 1, idle_timeout)),
        }
    }
}
