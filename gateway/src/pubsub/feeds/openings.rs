//! Sockets that are opened and closed, and upstreams to which none can be opened: what is remembered
//! of them, and what the log is told.

use std::time::Duration;

use perijove_core::telemetry::{json, seconds};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::move_cause::MoveCause;
use super::outage::OutageChange;
use super::placed::PlacedTopic;
use super::sockets::Feeds;
use super::unopened::UnopenedCause;
use crate::pubsub::upstream_socket::messages::CloseReason;
use crate::upstream::{Health, Pool, Upstream};

/// Where no socket can be opened for this long, it is logged: an upstream that is down is known by
/// then, and told of as such.
const LONG: Duration = Duration::from_secs(3);

impl Feeds {
    pub(super) fn opened(&mut self, line: u64) {
        if let Some(known) = self.lines.get_mut(&line) {
            known.opened = true;
            let (id, now) = (known.upstream.id(), Instant::now());
            self.hub.metrics.feed.opened(id);
            let standing = self.standing.entry(id.to_owned()).or_default();
            standing.opened(now);
            if let Some(lasted) = standing.unopened.opened(now) {
                tracing::info!(
                    upstream = id,
                    lasted_seconds = seconds(lasted),
                    "upstream accepts subscription sockets again"
                );
            }
        }
    }

    pub(super) fn closed(&mut self, line: u64, closed: &CloseReason) {
        let Some(known) = self.lines.remove(&line) else {
            return;
        };
        let now = Instant::now();
        let id = known.upstream.id();
        if known.opened {
            self.hub.metrics.feed.closed(id, closed);
        } else {
            self.hub.metrics.feed.unreachable(id);
        }
        let standing = self.standing.entry(id.to_owned()).or_default();
        match closed {
            CloseReason::Unused => {}
            CloseReason::Unreachable(error) => {
                standing.failed(error.retry_after, now);
                standing.unopened.failed(error.clone(), now);
            }
            CloseReason::Upstream { .. } | CloseReason::Silent => standing.lost(now),
            CloseReason::Garbled => standing.garbled(now),
        }
        if known.opened {
            tell_lost(id, closed, known.topics.len());
        }
        let cause = MoveCause::of(closed);
        for topic in known.topics {
            if let Some(placed) = self.topics.get_mut(&topic) {
                placed.lost(line, cause, now);
                if placed.on.is_none() {
                    self.place(topic);
                }
            }
        }
    }

    /// Logs upstreams to which no socket can be opened, and when nobody serves subscriptions.
    pub(super) fn tell_unopened(&mut self, pool: &Pool, now: Instant) {
        for upstream in pool.upstreams() {
            let Some(standing) = self.standing.get_mut(upstream.id()) else {
                continue;
            };
            let UnopenedCause { cause, cure } = match standing.unopened.cause(&addresses(upstream))
            {
                Some(cause) if upstream.health() == Health::Healthy => cause,
                _ => continue,
            };
            if standing.unopened.is_news(LONG, now) {
                tracing::warn!(
                    upstream = upstream.id(),
                    cause,
                    cure,
                    "no subscription socket to the upstream can be opened"
                );
            }
        }
        let patience = LONG.min(self.limits().subscribe_timeout / 2);
        let waits = |(id, placed): (&u64, &PlacedTopic)| {
            placed.is_unserved_for(patience, now) && !self.spare.contains(id)
        };
        let is_open = self.lines.values().any(|known| known.opened);
        // Otherwise it is logged that no upstream can serve at all.
        let waits = pool.can_serve() && self.topics.iter().any(waits);
        match self.outage.look(waits, is_open, now) {
            None => {}
            Some(OutageChange::Begun) => tracing::error!(
                upstreams = json(&self.unopened(pool, now)).as_slice(),
                "no upstream serves subscriptions; clients get errors"
            ),
            Some(OutageChange::Over(lasted)) => tracing::info!(
                outage_seconds = seconds(lasted),
                "an upstream serves subscriptions again"
            ),
        }
    }

    /// Upstreams to which no socket can be opened, for `/status` and the log.
    pub(super) fn unopened(&self, pool: &Pool, now: Instant) -> Vec<Value> {
        let upstreams = pool.upstreams().iter().filter_map(|upstream| {
            let unopened = &self.standing.get(upstream.id())?.unopened;
            let UnopenedCause { cause, cure } = unopened.cause(&addresses(upstream))?;
            let lasts = unopened.lasts(now).as_secs();
            Some(json!({ "upstream": upstream.id(), "cause": cause, "cure": cure, "seconds": lasts }))
        });
        upstreams.collect()
    }
}

fn addresses(upstream: &Upstream) -> Vec<String> {
    upstream.ws_urls().iter().map(ToString::to_string).collect()
}

/// An open socket is closed. Without subscriptions that harms nobody.
fn tell_lost(id: &str, closed: &CloseReason, topics: usize) {
    if topics > 0 || *closed == CloseReason::Garbled {
        tracing::warn!(
            upstream = id,
            cause = closed.label(),
            close_code = closed.code(),
            topics,
            "subscription socket lost; moving its subscriptions"
        );
    } else if *closed != CloseReason::Unused {
        tracing::info!(
            upstream = id,
            cause = closed.label(),
            close_code = closed.code(),
            "subscription socket without subscriptions lost"
        );
    }
}
