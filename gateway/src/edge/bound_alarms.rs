//! Watches the connections while the gateway runs: disconnects clients that hold up others, and
//! logs, once for each change, when a limit is reached and when it no longer is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::admin::connection;
use super::connections::ClientConnections;
use super::drain::Drain;
use crate::snapshot::Published;

/// Maximum interval between two checks.
const LOOK: Duration = Duration::from_millis(500);
/// A limit counts as no longer reached when it had no effect for this long.
const OVER: Duration = Duration::from_secs(10);

/// Watches clients' connections, and those to the admin port, until the process ends.
pub async fn watch(
    connections: Arc<ClientConnections>,
    admin: Arc<ClientConnections>,
    published: Arc<Published>,
    drain: Arc<Drain>,
) {
    let mut crowded = BoundAlarm::new("client connection limit", Some("limits.connections"));
    let mut address = BoundAlarm::new(
        "client connection limit of an address",
        Some("limits.connections_per_address"),
    );
    let mut unsent = BoundAlarm::new("unsent answer limit", Some("limits.unsent"));
    let mut bodies = BoundAlarm::new("unfinished request limit", Some("limits.unfinished_bodies"));
    let mut admin_crowded = BoundAlarm::new("admin connection limit", None);
    let mut admin_address = BoundAlarm::new("admin connection limit of an address", None);
    loop {
        let snapshot = published.load();
        let limits = &snapshot.config.limits;
        sleep(LOOK.min(limits.write_timeout / 4)).await;
        connections.cut_stalled(limits.write_timeout, drain.is_leaving());
        let (trouble, bounds) = (connections.trouble(), connections.bounds(limits));
        let now = Instant::now();
        crowded.look(&trouble.crowded, bounds.all, now);
        address.look(&trouble.crowded_address, bounds.per_address, now);
        unsent.look(&trouble.unsent, limits.unsent, now);
        bodies.look(&trouble.bodies, limits.unfinished_bodies, now);
        let trouble = admin.trouble();
        admin_crowded.look(&trouble.crowded, connection::MOST, now);
        admin_address.look(&trouble.crowded_address, connection::MOST_PER_ADDRESS, now);
    }
}

/// The alarm for one limit.
struct BoundAlarm {
    what: &'static str,
    /// The key of the configuration, if there is one.
    setting: Option<&'static str>,
    seen: u64,
    /// The count when it began, and the time of the last effect.
    on: Option<(u64, Instant)>,
}

impl BoundAlarm {
    fn new(what: &'static str, setting: Option<&'static str>) -> Self {
        Self {
            what,
            setting,
            seen: 0,
            on: None,
        }
    }

    fn look(&mut self, count: &AtomicU64, limit: usize, now: Instant) {
        let count = count.load(Ordering::Relaxed);
        let more = count > self.seen;
        let before = std::mem::replace(&mut self.seen, count);
        match self.on {
            None if more => {
                self.on = Some((before, now));
                let (affected, setting) = (count - before, self.setting);
                tracing::warn!(affected, limit, setting, "{} reached", self.what);
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
