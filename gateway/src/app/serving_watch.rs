//! Logs once when no upstream can serve any more, and once when one can again; the same where calls
//! are refused because all upstreams limit their rate.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use perijove_core::telemetry::{json, seconds};
use pingora::server::ShutdownWatch;
use pingora::services::background::{BackgroundService, GenBackgroundService, background_service};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::refused_calls::RefusedCalls;
use super::serving_change::ServingChange;
use crate::pipeline::Pipeline;
use crate::snapshot::Published;
use crate::upstream::Pool;

/// How often the upstreams are checked.
const LOOK: Duration = Duration::from_millis(500);
/// Checks in a row without any usable upstream before an outage is logged: a moment is not an
/// outage.
const LOOKS: u32 = 3;

/// Checks for as long as the gateway runs.
pub(super) fn service(
    published: &Arc<Published>,
    pipeline: &Arc<Pipeline>,
) -> GenBackgroundService<ServingWatch> {
    let watch = ServingWatch {
        published: Arc::clone(published),
        pipeline: Arc::clone(pipeline),
    };
    background_service("watch", watch)
}

pub(super) struct ServingWatch {
    published: Arc<Published>,
    pipeline: Arc<Pipeline>,
}

#[async_trait]
impl BackgroundService for ServingWatch {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outage = Outage::default();
        let mut limited = RefusedCalls::default();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.changed() => return,
            }
            let pool = &self.published.load().pool;
            let refused = self.pipeline.dispatch_state.rpc.limited_calls.count();
            tell_limits(limited.look(refused, Instant::now()), pool);
            match outage.look(pool.can_serve(), Instant::now()) {
                None => {}
                Some(ServingChange::Begun) => tracing::error!(
                    upstreams = json(&states(pool)).as_slice(),
                    "no upstream available; answering calls with errors"
                ),
                Some(ServingChange::Over(lasted)) => {
                    tracing::info!(outage_seconds = seconds(lasted), "upstream available again");
                }
            }
        }
    }
}

fn tell_limits(change: Option<ServingChange>, pool: &Pool) {
    match change {
        None => {}
        Some(ServingChange::Begun) => tracing::warn!(
            upstreams = json(&states(pool)).as_slice(),
            "calls are refused: every upstream limits their rate, or has no budget left"
        ),
        Some(ServingChange::Over(lasted)) => tracing::info!(
            lasted_seconds = seconds(lasted),
            "no calls are refused for the limits of upstreams any more"
        ),
    }
}

/// What each upstream lacks, for the log.
fn states(pool: &Pool) -> Vec<serde_json::Value> {
    let upstreams = pool.status().upstreams.into_iter();
    upstreams
        .map(|one| json!({ "upstream": one.id, "state": one.state, "cause": one.cause, "cure": one.cure }))
        .collect()
}

/// An outage: no upstream can serve.
#[derive(Debug, Default)]
struct Outage {
    looks: u32,
    since: Option<Instant>,
    told: bool,
}

impl Outage {
    fn look(&mut self, served: bool, now: Instant) -> Option<ServingChange> {
        if served {
            let since = self.since.unwrap_or(now);
            let told = self.told;
            *self = Self::default();
            return told.then(|| ServingChange::Over(now.saturating_duration_since(since)));
        }
        self.since.get_or_insert(now);
        self.looks = self.looks.saturating_add(1);
        if self.looks < LOOKS || self.told {
            return None;
        }
        self.told = true;
        Some(ServingChange::Begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_when_it_begins_and_when_it_is_over() {
        let mut now = Instant::now();
        let mut outage = Outage::default();
        let mut told = Vec::new();
        for served in [true, false, true, false, false, false, false, true, true] {
            told.push(outage.look(served, now));
            now += LOOK;
        }
        let mut expected: Vec<Option<ServingChange>> = (0..9).map(|_| None).collect();
        expected[5] = Some(ServingChange::Begun);
        expected[7] = Some(ServingChange::Over(LOOK * 4));
        assert_eq!(told, expected);
    }
}
