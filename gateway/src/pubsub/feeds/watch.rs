//! The regular check of everything: topics without a socket, sockets whose upstream has become
//! worse than another, the standby socket, and sockets that are not needed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use perijove_core::Commitment;
use serde_json::json;
use tokio::time::Instant;

use super::choice::{FeedRank, PROVEN};
use super::move_cause::MoveCause;
use super::sockets::{Feeds, KnownSocket};
use crate::upstream::{Pool, Upstream};

/// How long a socket may be behind before its topics move.
const BEHIND: Duration = Duration::from_secs(1);
/// How long a socket without topics is kept.
const IDLE: Duration = Duration::from_secs(10);
/// Topics moved per check while their old socket still serves them.
const MOVED_AT_ONCE: usize = 200;

impl Feeds {
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        let snapshot = self.hub.published.load();
        let pool = &snapshot.pool;
        self.hub.total.allow(snapshot.config.websocket.memory);
        let (lines, metrics) = (&self.lines, &self.hub.metrics.feed);
        self.standing.retain(|id, _| {
            let has_line = || lines.values().any(|known| known.upstream.id() == id);
            let stays = pool.upstream(id).is_some() || has_line();
            if !stays {
                metrics.ends(id);
            }
            stays
        });
        self.note_fitness(pool, now);
        self.note_spare();
        self.find_leavers(pool, snapshot.config.health.exclude_lag, now);
        self.move_some(now);
        self.place_waiting(now);
        self.look_up_unserved(now);
        if snapshot.config.websocket.feed.standby {
            self.keep_reserve(pool, now);
        }
        if snapshot.config.websocket.feed.track_slots {
            self.keep_watch(pool, now);
        }
        self.close_idle(now);
        self.tell_unopened(pool, now);
        self.tell(pool, now);
    }

    fn note_fitness(&mut self, pool: &Pool, now: Instant) {
        for upstream in pool.upstreams() {
            let mut own = self
                .lines
                .values()
                .filter(|known| Arc::ptr_eq(&known.upstream, upstream));
            let behind = own.any(|known| known.behind_since.is_some());
            let rank = self.rank(upstream, now);
            let fit = !behind && rank.is_some_and(FeedRank::is_fit);
            if !self.standing.contains_key(upstream.id()) {
                self.hub.metrics.feed.begins(upstream.id());
            }
            let standing = self.standing.entry(upstream.id().to_owned()).or_default();
            if fit && standing.may_be_tried(now) {
                standing.fit_since.get_or_insert(now);
            } else {
                standing.fit_since = None;
            }
        }
    }

    /// Marks sockets whose topics should move.
    fn find_leavers(&mut self, pool: &Pool, most_behind: u64, now: Instant) {
        let tip = pool.tip(Commitment::Processed).map(|tip| tip.0);
        for known in self.lines.values_mut() {
            let slot = known.slot.load(Ordering::Acquire);
            let behind = slot > 0 && tip.is_some_and(|tip| tip.saturating_sub(slot) > most_behind);
            if behind {
                known.behind_since.get_or_insert(now);
            } else {
                known.behind_since = None;
            }
        }
        let causes: Vec<_> = self
            .lines
            .iter()
            .map(|(line, known)| (*line, self.cause_to_leave(known, pool, now)))
            .collect();
        for (line, cause) in causes {
            if let Some(known) = self.lines.get_mut(&line) {
                known.leaves = cause;
            }
        }
    }

    fn cause_to_leave(&self, known: &KnownSocket, pool: &Pool, now: Instant) -> Option<MoveCause> {
        let is_configured = pool
            .upstreams()
            .iter()
            .any(|upstream| Arc::ptr_eq(upstream, &known.upstream));
        if !is_configured {
            return Some(MoveCause::Reloaded);
        }
        if known.topics.is_empty() {
            // It may still be needed.
            return None;
        }
        let others = |proven: Duration| {
            pool.upstreams()
                .iter()
                .filter(|upstream| !Arc::ptr_eq(upstream, &known.upstream))
                .filter(move |upstream| self.fit_for(upstream, now) >= Some(proven))
                .filter_map(|upstream| self.rank(upstream, now))
                .filter(|rank| rank.is_fit())
                .min()
        };
        let Some(rank) = self.rank(&known.upstream, now) else {
            return Some(MoveCause::Unfit);
        };
        let late = |since: Instant| now.saturating_duration_since(since) >= BEHIND;
        let behind = known.behind_since.is_some_and(late);
        if (rank.is_unfit() || behind) && others(Duration::ZERO).is_some() {
            return Some(MoveCause::Unfit);
        }
        others(PROVEN)
            .is_some_and(|other| other < rank)
            .then_some(MoveCause::Better)
    }

    /// For how long an upstream has been healthy.
    pub(super) fn fit_for(&self, upstream: &Upstream, now: Instant) -> Option<Duration> {
        let since = self.standing.get(upstream.id())?.fit_since?;
        Some(now.saturating_duration_since(since))
    }

    /// Moves topics off the marked sockets, which serve them until the new ones do.
    fn move_some(&mut self, now: Instant) {
        let leaving: Vec<_> = self
            .lines
            .iter()
            .filter_map(|(line, known)| Some((*line, known.leaves?)))
            .collect();
        let mut left = MOVED_AT_ONCE;
        for (line, cause) in leaving {
            let Some(known) = self.lines.get(&line) else {
                continue;
            };
            let may_move = |id: &u64| {
                let placed = self.topics.get(id);
                placed.is_some_and(|placed| {
                    placed.on == Some(line) && placed.next.is_none() && placed.again_at <= now
                })
            };
            let topics: Vec<_> = known
                .topics
                .iter()
                .copied()
                .filter(may_move)
                .take(left)
                .collect();
            left -= topics.len();
            for id in topics {
                if let Some(placed) = self.topics.get_mut(&id) {
                    placed.cause = Some(cause);
                    self.place(id);
                }
            }
        }
    }

    fn place_waiting(&mut self, now: Instant) {
        let waiting: Vec<_> = self
            .topics
            .iter()
            .filter(|(_, placed)| {
                placed.on.is_none() && placed.next.is_none() && placed.again_at <= now
            })
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.place(id);
        }
    }

    /// Keeps one spare socket open, to the next best upstream.
    fn keep_reserve(&mut self, pool: &Pool, now: Instant) {
        if self.topics.is_empty() {
            return;
        }
        let has_line = |upstream: &Arc<Upstream>| {
            self.lines
                .values()
                .any(|known| Arc::ptr_eq(&known.upstream, upstream))
        };
        let upstreams = pool.upstreams();
        if upstreams.iter().filter(|one| has_line(one)).count() > 1 {
            return;
        }
        let reserve = upstreams
            .iter()
            .filter(|upstream| !has_line(upstream) && !upstream.settings().metered)
            .filter(|upstream| self.fit_for(upstream, now).is_some())
            .filter_map(|upstream| Some((self.rank(upstream, now)?, upstream)))
            .min_by_key(|(rank, _)| *rank);
        if let Some((_, upstream)) = reserve {
            let upstream = Arc::clone(upstream);
            self.open(&upstream, now);
        }
    }

    /// Keeps a socket open to each unmetered upstream, to follow its slots.
    fn keep_watch(&mut self, pool: &Pool, now: Instant) {
        for upstream in pool.upstreams() {
            let has_line = self
                .lines
                .values()
                .any(|known| Arc::ptr_eq(&known.upstream, upstream));
            let standing = self.standing.get(upstream.id());
            let may_be_watched = standing.is_none_or(|standing| standing.may_be_watched(now));
            let is_free = !upstream.settings().metered && self.rank(upstream, now).is_some();
            if is_free && !has_line && may_be_watched {
                self.open(upstream, now);
            }
        }
    }

    /// Closes sockets that are not needed, except the standby socket and those that follow slots.
    fn close_idle(&mut self, now: Instant) {
        let limits = self.limits();
        let standby = limits.standby && !self.topics.is_empty();
        let mut used: Vec<_> = self
            .lines
            .values()
            .filter(|known| !known.topics.is_empty())
            .map(|known| Arc::clone(&known.upstream))
            .collect();
        let mut reserves = 0;
        let mut idle = Vec::new();
        for (line, known) in &self.lines {
            let rested = now.saturating_duration_since(known.idle_since) >= IDLE;
            if !known.topics.is_empty() || !known.opened || known.ends {
                continue;
            }
            let is_only = known.leaves.is_none()
                && !known.upstream.settings().metered
                && !used.iter().any(|one| Arc::ptr_eq(one, &known.upstream));
            if is_only && (limits.track_slots || (standby && reserves == 0)) {
                reserves += 1;
                used.push(Arc::clone(&known.upstream));
            } else if rested || known.leaves == Some(MoveCause::Reloaded) {
                idle.push(*line);
            }
        }
        for line in idle {
            if let Some(known) = self.lines.get_mut(&line) {
                // The socket closes when its command channel is closed.
                let (nobody, _) = tokio::sync::mpsc::unbounded_channel();
                known.orders = nobody;
                known.ends = true;
            }
        }
    }

    /// Updates `/status` and the metrics.
    fn tell(&self, pool: &Pool, now: Instant) {
        let mut waiting = 0;
        for (id, placed) in &self.topics {
            waiting += usize::from(placed.on.is_none() && !self.spare.contains(id));
        }
        self.hub.metrics.feed.topics(self.topics.len(), waiting);
        self.hub.metrics.waiting(self.hub.total.bytes());
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|(line, known)| {
                let leaving = known.leaves.map(MoveCause::label);
                json!({
                    "socket": line,
                    "upstream": known.upstream.id(),
                    "open": known.opened,
                    "subscriptions": known.topics.len(),
                    "slot": known.slot.load(Ordering::Acquire),
                    "leaving": leaving.or(known.ends.then_some("unused")),
                })
            })
            .collect();
        let unreachable = self.unopened(pool, now);
        let nobody_serves = self.outage.lasts();
        *self.hub.feeds.lock() = json!({
            "sockets": lines,
            "waiting": waiting,
            "unreachable": unreachable,
            "nobody_serves": nobody_serves,
        });
    }
}
