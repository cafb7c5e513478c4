//! One call in progress, counted as long as its guard lives.

use crate::upstream::state::endpoint_state::EndpointState;
use std::sync::Arc;

/// One call in progress, counted while this lives.
#[derive(Debug)]
pub(in crate::upstream) struct InFlightGuard(Arc<EndpointState>);

impl InFlightGuard {
    pub(in crate::upstream) fn begin(live: &Arc<EndpointState>) -> Self {
        live.score.begin();
        Self(Arc::clone(live))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.score.end();
    }
}
