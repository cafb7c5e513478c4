//! The limit that an upstream's latencies set to its calls in flight, and the places that it gives.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::config;
use crate::limit::{ConcurrencyLimit, LimitMove, LoadSample, PlacesInUse};
use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;

/// The limit of one upstream.
pub(in crate::upstream) struct AdaptiveConcurrency {
    connections: Arc<Http1Connections>,
    http2: Option<Arc<Http2Pool>>,
    /// The most calls in flight that its connections allow.
    ceiling: usize,
    /// `None` while it is switched off.
    state: Mutex<Option<ConcurrencyState>>,
}

#[derive(Debug)]
struct ConcurrencyState {
    limit: ConcurrencyLimit,
    moved: Option<(LimitMove, Instant)>,
}

/// The limit, for `/status`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ConcurrencyStatus {
    /// Calls that may be in flight at once.
    pub limit: usize,
    pub ceiling: usize,
    /// Why it was last moved.
    pub moved: Option<&'static str>,
    pub moved_seconds_ago: Option<f64>,
}

impl AdaptiveConcurrency {
    pub(in crate::upstream) fn new(
        settings: &config::UpstreamSettings,
        connections: &Arc<Http1Connections>,
        http2: Option<&Arc<Http2Pool>>,
        now: Instant,
    ) -> Self {
        let most = settings.connections_ceiling;
        let this = Self {
            connections: Arc::clone(connections),
            http2: http2.cloned(),
            ceiling: http2.map_or(most, |_| Http2Pool::usual_streams(most)),
            state: Mutex::new(None),
        };
        this.switch(settings.adaptive_concurrency, now);
        this
    }

    /// Switches it on or off; without it the connections alone are the limit. Returns the limit,
    /// if it is on.
    pub(in crate::upstream) fn switch(&self, on: bool, now: Instant) -> Option<usize> {
        let mut state = self.state.lock();
        if on != state.is_some() {
            *state = on.then(|| ConcurrencyState {
                limit: ConcurrencyLimit::new(self.ceiling, now),
                moved: None,
            });
            let limit = state.as_ref().map(|state| state.limit.limit());
            self.apply(limit.unwrap_or(usize::MAX));
        }
        state.as_ref().map(|state| state.limit.limit())
    }

    /// A call has ended. Returns the new limit and why it was moved, if it was.
    pub(in crate::upstream) fn observe(
        &self,
        sample: LoadSample,
        now: Instant,
    ) -> Option<(usize, LimitMove)> {
        let mut state = self.state.lock();
        let ConcurrencyState { limit, moved } = state.as_mut()?;
        let cause = limit.observe(sample, self.in_use(), now)?;
        *moved = Some((cause, now));
        let limit = limit.limit();
        self.apply(limit);
        Some((limit, cause))
    }

    pub(in crate::upstream) fn status(&self, now: Instant) -> Option<ConcurrencyStatus> {
        let state = self.state.lock();
        let ConcurrencyState { limit, moved } = state.as_ref()?;
        let ago = |at: Instant| now.saturating_duration_since(at).as_secs_f64();
        Some(ConcurrencyStatus {
            limit: limit.limit(),
            ceiling: self.ceiling,
            moved: moved.map(|(cause, _)| cause.label()),
            moved_seconds_ago: moved.map(|(_, at)| ago(at)),
        })
    }

    /// The call that has just ended has given its place back already.
    fn in_use(&self) -> PlacesInUse {
        let (streams, waiting) = self.http2.as_ref().map_or((0, false), |http2| http2.load());
        PlacesInUse {
            used: self.connections.busy() + streams + 1,
            waiting: waiting || self.connections.is_waited_for(),
        }
    }

    /// To be called with the state locked, so that limits take effect in their order.
    fn apply(&self, limit: usize) {
        self.connections.limit(limit);
        if let Some(http2) = &self.http2 {
            http2.limit(limit);
        }
    }
}
