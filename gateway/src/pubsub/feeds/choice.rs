//! Chooses the upstream of a topic. Reads what the tracker knows of upstreams, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::feed_status::FeedStatus;
use super::move_cause::MoveCause;
use super::sockets::{Feeds, KnownSocket};
use crate::config::Tier;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::topic::Topic;
use crate::upstream::{Health, Upstream};

/// How long a better upstream must have been healthy before topics move back to it.
pub(super) const PROVEN: Duration = Duration::from_secs(10);

/// Where a topic is assigned.
pub(super) enum FeedChoice {
    /// An existing socket.
    Line(u64),
    /// A new one.
    Open(Arc<Upstream>),
    /// All upstreams that could be asked have refused it, or have not answered.
    Refused,
    /// No upstream can be asked now.
    Nobody,
}

/// Whether an upstream is healthy enough for subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Fit,
    /// Not probed yet: better than one known to be unhealthy, and no reason to leave it.
    Unknown,
    Unfit,
}

/// How good an upstream is for subscriptions; the smallest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FeedRank {
    fitness: Fitness,
    /// It has sent invalid messages lately.
    distrusted: bool,
    /// Own nodes come first, whatever their tier.
    metered: bool,
    tier: Tier,
}

impl FeedRank {
    /// `None`: it must not be used.
    fn of(upstream: &Upstream, distrusted: bool) -> Option<Self> {
        let fitness = match upstream.health() {
            Health::WrongCluster => return None,
            Health::Healthy => Fitness::Fit,
            Health::Unprobed => Fitness::Unknown,
            _ => Fitness::Unfit,
        };
        Some(Self {
            fitness,
            distrusted,
            metered: upstream.settings().metered,
            tier: upstream.tier(),
        })
    }

    pub(super) fn is_fit(self) -> bool {
        self.fitness == Fitness::Fit
    }

    pub(super) fn is_unfit(self) -> bool {
        self.fitness == Fitness::Unfit
    }
}

/// Whether the configuration allows these on the upstream.
fn allows(upstream: &Upstream, kind: SubscriptionKind) -> bool {
    let settings = upstream.settings();
    let named = |list: &[String]| list.iter().any(|method| method == kind.subscribe());
    (settings.allow.is_empty() || named(&settings.allow)) && !named(&settings.deny)
}

impl Feeds {
    /// How good an upstream is now; `None`: it must not be used.
    pub(super) fn rank(&self, upstream: &Upstream, now: Instant) -> Option<FeedRank> {
        let standing = self.standing.get(upstream.id());
        let distrusted = standing.is_some_and(|standing| standing.is_distrusted(now));
        FeedRank::of(upstream, distrusted)
    }

    /// The best place for a topic that is on no socket, or that is to leave its socket: then only a
    /// strictly better one, so that it does not move to and fro.
    pub(super) fn choose(&self, topic: &Topic, not: Option<u64>, now: Instant) -> FeedChoice {
        let snapshot = self.hub.published.load();
        let is_spare = topic.is_spare();
        let placed = self.topics.get(&topic.id);
        let no_use = || {
            let placed = placed.into_iter();
            placed.flat_map(|placed| placed.refused_by.iter().chain(&placed.overdue_at))
        };
        let refused = |upstream: &Upstream| no_use().any(|id| id == upstream.id());
        let here = not.and_then(|line| self.lines.get(&line));
        let leaves = here.and_then(|here| here.leaves);
        let better_off = |upstream: &Upstream, rank: FeedRank| match leaves {
            Some(MoveCause::Better) => {
                let there = here.and_then(|here| self.rank(&here.upstream, now));
                there.is_none_or(|there| rank < there)
                    && self.fit_for(upstream, now) >= Some(PROVEN)
            }
            Some(MoveCause::Unfit) => rank.is_fit() && self.fit_for(upstream, now).is_some(),
            _ => true,
        };
        let mut resting = false;
        let mut best: Option<((bool, FeedRank, usize), FeedChoice)> = None;
        for upstream in snapshot.pool.upstreams() {
            let costs = is_spare && upstream.settings().metered;
            if costs || !allows(upstream, topic.kind()) || refused(upstream) {
                continue;
            }
            let Some(rank) = self.rank(upstream, now) else {
                continue;
            };
            if here.is_some_and(|here| Arc::ptr_eq(&here.upstream, upstream))
                || !better_off(upstream, rank)
            {
                continue;
            }
            let standing = self.standing.get(upstream.id());
            if standing.is_some_and(|standing| !standing.has(topic.kind(), now)) {
                continue;
            }
            let Some(FeedRoom {
                load,
                is_unfit,
                choice,
            }) = self.room(upstream, (standing, is_spare), now)
            else {
                resting = true;
                continue;
            };
            let share = load * 1000 / upstream.settings().weight.max(1) as usize;
            let order = (is_unfit, rank, share);
            if best.as_ref().is_none_or(|(least, _)| order < *least) {
                best = Some((order, choice));
            }
        }
        match best {
            Some((_, choice)) => choice,
            None if !resting && no_use().next().is_some() => FeedChoice::Refused,
            None if !resting && self.all_lack(topic, now) => FeedChoice::Refused,
            None => FeedChoice::Nobody,
        }
    }

    /// Whether every upstream has said that it lacks the method.
    fn all_lack(&self, topic: &Topic, now: Instant) -> bool {
        let snapshot = self.hub.published.load();
        let upstreams = snapshot.pool.upstreams();
        let lacks = |upstream: &Arc<Upstream>| {
            let standing = self.standing.get(upstream.id());
            !allows(upstream, topic.kind())
                || standing.is_some_and(|standing| !standing.has(topic.kind(), now))
        };
        !upstreams.is_empty() && upstreams.iter().all(lacks)
    }

    /// A socket to this upstream with room, or one that may be opened. A socket whose topics are to
    /// move counts among those that are open as long as it is, and takes others meanwhile: the
    /// better upstream may be full. One that is to be left because it is behind does so last.
    fn room(
        &self,
        upstream: &Arc<Upstream>,
        (standing, is_spare): (Option<&FeedStatus>, bool),
        now: Instant,
    ) -> Option<FeedRoom> {
        let snapshot = self.hub.published.load();
        let limits = &snapshot.config.websocket.feed;
        let own = || {
            let lines = self.lines.iter();
            lines.filter(|(_, known)| Arc::ptr_eq(&known.upstream, upstream))
        };
        let load = own().map(|(_, known)| known.topics.len()).sum();
        // One subscription is the gateway's own `slotSubscribe`.
        let has_room = |known: &KnownSocket| known.topics.len() + 1 < limits.subscriptions;
        let is_unfit = |known: &KnownSocket| known.leaves == Some(MoveCause::Unfit);
        // What nobody waits for gives way.
        let gives_way = |known: &KnownSocket| !is_spare && self.has_spare(known);
        let best = |suits: &dyn Fn(&KnownSocket) -> bool| {
            let suitable = own().filter(|(_, known)| !known.ends && suits(known));
            let best = suitable.min_by_key(|(_, known)| (!known.opened, known.topics.len()));
            best.map(|(line, _)| FeedChoice::Line(*line))
        };
        let may_open = own().count() < limits.sockets
            && standing.is_none_or(|standing| standing.may_be_tried(now));
        let fit = best(&|known| !is_unfit(known) && has_room(known))
            .or_else(|| may_open.then(|| FeedChoice::Open(Arc::clone(upstream))))
            .or_else(|| best(&|known| !is_unfit(known) && gives_way(known)));
        let (is_unfit, choice) = match fit {
            Some(choice) => (false, choice),
            None => (true, best(&|known| has_room(known) || gives_way(known))?),
        };
        Some(FeedRoom {
            load,
            is_unfit,
            choice,
        })
    }
}

/// Where an upstream has room for a topic.
struct FeedRoom {
    /// The topics that the upstream serves already.
    load: usize,
    /// Only on a socket that is to be left.
    is_unfit: bool,
    choice: FeedChoice,
}
