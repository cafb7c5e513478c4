//! Looks after the connections of clients while the gateway runs: cuts those that hold up others,
//! and says in the log, once for each change, when a bound is reached and when that is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connections::Connections;
use super::drain::Drain;
use crate::snapshot::Published;

/// Between two looks, at most.
const LOOK: Duration = Duration::from_millis(500);
/// Trouble is over when nothing has come of it for so long.
const OVER: Duration = Duration::from_secs(10);

/// Looks after them for ever.
pub async fn watch(connections: Arc<Connections>, published: Arc<Published>, drain: Arc<Drain>) {
    let mut crowded = Alarm::new("client connections are at their bound");
    let mut unsent = Alarm::new("answers that wait for slow clients are at their bound");
    let mut bodies = Alarm::new("unfinished request bodies are at their bound");
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

/// One kind of trouble.
struct Alarm {
    what: &'static str,
    seen: u64,
    /// What had been counted when it began, and when it last happened.
    on: Option<(u64, Instant)>,
}

impl Alarm {
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
                tracing::warn!(affected = count - before, "{}", self.what);
            }
            Some((since, _)) if more => self.on = Some((since, now)),
            Some((since, last)) if now.saturating_duration_since(last) >= OVER => {
                self.on = None;
                tracing::info!(affected = count - since, "{}: over", self.what);
            }
            None | Some(_) => {}
        }
    }
}
