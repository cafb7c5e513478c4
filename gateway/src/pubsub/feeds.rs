//! Manages the sockets to upstreams: which socket serves which topic, when another is opened, and
//! where topics move whose upstream is lost or has become worse than another.
//!
//! One task makes all decisions; sockets are tasks of their own that carry out its orders and
//! report.

mod choice;
mod feed_status;
pub(super) mod move_cause;
mod openings;
mod outage;
mod placed;
mod sockets;
mod spare;
mod unopened;
mod unserved;
mod unserved_signatures;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use perijove_core::Slot;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::choice::FeedChoice;
use self::move_cause::MoveCause;
use self::outage::SubscriptionOutage;
use self::placed::PlacedTopic;
pub(super) use self::sockets::Feeds;
use self::sockets::KnownSocket;
use self::unserved_signatures::UnservedSignatures;
use super::feed_command::FeedCommand;
use super::hub::Hub;
use super::repair;
use super::topic::Topic;
use super::upstream_socket::messages::{SocketOrder, SocketReport};
use super::upstream_socket::{self, SocketTerms};
use crate::config::FeedLimits;
use crate::jsonrpc::RpcError;
use crate::upstream::Upstream;

#[cfg(test)]
mod tests;

/// Interval between two checks of everything.
const LOOK: Duration = Duration::from_millis(100);
/// How long a topic waits before another upstream is looked for, if none was found.
const AGAIN: Duration = Duration::from_millis(250);
/// How long a topic stays on a healthy upstream after better ones have refused it.
const REFUSED_AGAIN: Duration = Duration::from_mins(1);

impl Feeds {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        let (reports, reported) = mpsc::unbounded_channel();
        Self {
            hub,
            lines: BTreeMap::new(),
            last_line: 0,
            topics: BTreeMap::new(),
            spare: HashSet::new(),
            standing: HashMap::new(),
            unserved: UnservedSignatures::default(),
            outage: SubscriptionOutage::default(),
            reports,
            reported: Some(reported),
        }
    }

    /// Runs until the process ends.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<FeedCommand>) {
        let Some(mut reported) = self.reported.take() else {
            return;
        };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((line, report)) = reported.recv() => self.reported(line, report),
                command = commands.recv() => match command {
                    Some(FeedCommand::Added(topic)) => self.add(topic),
                    Some(FeedCommand::Removed(topic)) => self.remove(&topic),
                    None => return,
                },
                _ = look.tick() => self.look(),
            }
        }
    }

    fn limits(&self) -> FeedLimits {
        self.hub.published.load().config.websocket.feed.clone()
    }

    fn add(&mut self, topic: Arc<Topic>) {
        let id = topic.id;
        if topic.is_spare() {
            self.spare.insert(id);
        }
        self.topics.insert(id, PlacedTopic::new(topic));
        self.place(id);
    }

    fn remove(&mut self, topic: &Arc<Topic>) {
        self.spare.remove(&topic.id);
        let Some(placed) = self.topics.remove(&topic.id) else {
            return;
        };
        for line in placed.lines() {
            self.take_off(line, topic);
        }
    }

    /// This socket serves a topic no more.
    fn take_off(&mut self, line: u64, topic: &Arc<Topic>) {
        if let Some(known) = self.lines.get_mut(&line)
            && known.forget(topic)
        {
            // A socket that has ended reports it.
            drop(
                known
                    .orders
                    .send(SocketOrder::Unsubscribe(Arc::clone(topic))),
            );
        }
    }

    /// Assigns a topic to the best socket for it, if it is not there already.
    fn place(&mut self, id: u64) {
        let now = Instant::now();
        let Some(placed) = self.topics.get(&id) else {
            return;
        };
        if placed.next.is_some() {
            return;
        }
        let topic = Arc::clone(&placed.topic);
        let not = placed.on;
        match self.choose(&topic, not, now) {
            FeedChoice::Line(line) => {
                self.make_room(line);
                self.order(id, line);
            }
            FeedChoice::Open(upstream) => {
                let line = self.open(&upstream, now);
                self.order(id, line);
            }
            FeedChoice::Refused => {
                let Some(placed) = self.topics.get_mut(&id) else {
                    return;
                };
                let none = RpcError::new(-32601, "Method not found");
                let error = placed.refusal.clone().unwrap_or(none);
                // One that has not answered yet may still accept it.
                let is_refused = placed.overdue_at.is_empty();
                placed.overdue_at.clear();
                if is_refused || topic.is_live() {
                    placed.refused_by.clear();
                }
                let pause = match placed.cause {
                    Some(MoveCause::Better) if placed.on.is_some() => REFUSED_AGAIN,
                    _ if !is_refused => AGAIN,
                    _ => AGAIN.max(Duration::from_secs(1)),
                };
                placed.again_at = now + pause;
                if is_refused && !topic.is_live() {
                    topic.refuse(&error);
                    self.hub.end(&topic);
                }
            }
            FeedChoice::Nobody => {
                if let Some(placed) = self.topics.get_mut(&id) {
                    placed.again_at = now + AGAIN;
                    if topic.is_live() && placed.on.is_none() {
                        // An upstream that refused it, or was too slow, may be the only one left.
                        placed.refused_by.clear();
                        placed.overdue_at.clear();
                    }
                }
            }
        }
    }

    fn order(&mut self, id: u64, line: u64) {
        let (Some(placed), Some(known)) = (self.topics.get_mut(&id), self.lines.get_mut(&line))
        else {
            return;
        };
        placed.next = Some(line);
        known.topics.insert(id);
        drop(
            known
                .orders
                .send(SocketOrder::Subscribe(Arc::clone(&placed.topic))),
        );
    }

    fn open(&mut self, upstream: &Arc<Upstream>, now: Instant) -> u64 {
        self.last_line += 1;
        let id = self.last_line;
        let (orders, received) = mpsc::unbounded_channel();
        let slot = Arc::new(AtomicU64::new(0));
        let standing = self.standing.entry(upstream.id().to_owned()).or_default();
        let terms = SocketTerms {
            id,
            hub: Arc::clone(&self.hub),
            upstream: Arc::clone(upstream),
            attempt: standing.address(),
            orders: received,
            reports: self.reports.clone(),
            slot: Arc::clone(&slot),
            limits: self.limits(),
        };
        tokio::spawn(upstream_socket::run(terms));
        let known = KnownSocket {
            upstream: Arc::clone(upstream),
            orders,
            topics: BTreeSet::new(),
            opened: false,
            leaves: None,
            ends: false,
            slot,
            idle_since: now,
            behind_since: None,
        };
        self.lines.insert(id, known);
        id
    }

    fn reported(&mut self, line: u64, report: SocketReport) {
        match report {
            SocketReport::Opened => self.opened(line),
            SocketReport::Taken(topic, moved) => self.taken(line, &topic, moved),
            SocketReport::Refused(topic, error) => self.refused(line, &topic, error),
            SocketReport::Overdue(topic) => self.overdue(line, &topic),
            SocketReport::Missing(topic, missing) => {
                let hub = Arc::clone(&self.hub);
                tokio::spawn(repair::fill(hub, topic, missing));
            }
            SocketReport::Ended(topic) => {
                // Its clients have got the last notification.
                if let Some(known) = self.lines.get_mut(&line) {
                    known.forget(&topic);
                }
                self.hub.end(&topic);
            }
            SocketReport::Closed(closed) => self.closed(line, &closed),
        }
    }

    fn taken(&mut self, line: u64, topic: &Arc<Topic>, moved: Option<Slot>) {
        let now = Instant::now();
        let placed = self.topics.get_mut(&topic.id);
        let Some(placed) = placed.filter(|placed| placed.next == Some(line)) else {
            return;
        };
        if let Some(known) = self.lines.get(&line) {
            topic.is_told_by(known.upstream.name());
        }
        placed.next = None;
        placed.refused_by.clear();
        placed.overdue_at.clear();
        placed.refusal = None;
        let before = placed.on.replace(line);
        let lost_at = placed.lost_at.take();
        let cause = placed.cause.take();
        if let Some(after) = moved {
            let gap = lost_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
            let cause = cause.unwrap_or(MoveCause::Lost);
            self.hub.metrics.feed.moved(cause, gap);
            if let Some(known) = self.lines.get(&line) {
                let repair = repair::Repair {
                    hub: Arc::clone(&self.hub),
                    topic: Arc::clone(topic),
                    upstream: Arc::clone(&known.upstream),
                    slot: Arc::clone(&known.slot),
                    after,
                };
                tokio::spawn(repair.run());
            }
        }
        if let Some(before) = before {
            self.take_off(before, topic);
        }
    }

    fn refused(&mut self, line: u64, topic: &Arc<Topic>, error: RpcError) {
        let Some(known) = self.lines.get_mut(&line) else {
            return;
        };
        known.forget(topic);
        let upstream = known.upstream.id().to_owned();
        let standing = self.standing.entry(upstream.clone()).or_default();
        if error.code == -32601 {
            standing.lacks(topic.kind(), Instant::now());
        }
        let placed = self.topics.get_mut(&topic.id);
        if let Some(placed) = placed.filter(|placed| placed.next == Some(line)) {
            placed.next = None;
            placed.refused_by.push(upstream);
            placed.refusal = Some(error);
            self.place(topic.id);
        }
    }

    /// An upstream has not answered: another one is tried, if there is one, and otherwise the same
    /// again.
    fn overdue(&mut self, line: u64, topic: &Arc<Topic>) {
        let Some(known) = self.lines.get_mut(&line) else {
            return;
        };
        known.forget(topic);
        let upstream = known.upstream.id().to_owned();
        let placed = self.topics.get_mut(&topic.id);
        if let Some(placed) = placed.filter(|placed| placed.next == Some(line)) {
            placed.next = None;
            placed.overdue_at.push(upstream);
            self.place(topic.id);
        }
    }
}
