//! Watches the client connections while the gateway runs: disconnects those that hold up others,
//! and logs, once for each change, when a limit is reached and when it no longer is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connections::ClientConnections;
use super::drain::Drain;
use crate::snapshot::Published;

/// Maximum interval between two checks.
const LOOK: Duration = Duration::from_millis(500);
/// A limit counts as no longer reached when it had no effect for this long.
const OVER: Duration = Duration::from_secs(10);

/// Watches them until the process ends.
pub async fn watch(
    connections: Arc<ClientConnections>,
    published: Arc<Published>,
    drain: Arc<Drain>,
) {
    let mut crowded = BoundAlarm::new("client connection limit");
    let mut unsent = BoundAlarm::new("unsent answer limit");
    let mut bodies = BoundAlarm::new("unfinished request body limit");
    loop {
        let write_timeout = published.load().config.limits.write_timeout;
        sleep(LOOK.min(write_timeout / 4)).await;
        connections.cut_stalled(write_timeout, drain.is_leaving());
        let trouble = connections.trouble();
        let now = Instant::now();
        crowded.look(&trouble.crowded, now);
        unsent.look(&trouble.unsent, now);
        bodies.look(&trouble.bodies, now);
    }
}

/// The alarm for one limit.
struct BoundAlarm {
    what: &'static str,
    seen: u64,
    /// The count when it began, and the time of the last effect.
    on: Option<(u64, Instant)>,
}

impl BoundAlarm {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            seen: 0,
            on: None,
        }
    }

    fn look(&mut self, count: &AtomicU64, now: Instant) {
        let count = count.load(Ordering::Relaxed);
        let more = count > self.seen;
        let before = std::mem::replace(&mut self.seen, count);
        match self.on {
            None if more => {
                self.on = Some((before, now));
                tracing::warn!(affected = count - before, "{} reached", self.what);
            }
            Some((since, _)) if more => self.on = Some((since, now)),
            Some((since, last)) if now.saturating_duration_since(last) >= OVER => {
                self.on = None;
                tracing::info!(affected = count - since, "{} no longer reached", self.what);
            }
            None | Some(_) => {}
        }
    }
}
