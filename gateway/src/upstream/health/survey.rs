//! What all upstreams, or all but one, have shown: where the cluster is, and which of them agree.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::upstream::health::clock::SlotEstimate;
use crate::upstream::health::credibility::{LEAP, WILD};
use crate::upstream::health::halt::is_halted;
use crate::upstream::health::slot_position::{FURTHEST, SlotPace};
use crate::upstream::health::tracker::Health;
use crate::upstream::state::endpoint_state::EndpointState;

/// Two upstreams that are this close to each other agree.
const AGREEMENT: u64 = LEAP;

/// What all upstreams, or all but one, have shown.
pub(super) struct Survey {
    /// The observation that determines the cluster's position, at each commitment.
    pub(super) heads: [Option<SlotEstimate>; 3],
    /// The newest slots that were seen.
    pub(super) seen: [Option<Slot>; 3],
    /// The newest estimate at each commitment without those whose slots are in doubt: where all
    /// jump at once, they do not contradict each other.
    pub(super) believed: [Option<Slot>; 3],
    /// The same without those that catch up.
    pub(super) settled: [Option<Slot>; 3],
    /// Where the ones that stand still have stopped.
    pub(super) stopped: [Option<Slot>; 3],
    pub(super) pace: SlotPace,
    /// As configured.
    pub(super) usual: SlotPace,
}

impl Survey {
    /// Of nobody yet. The pace is that of an upstream whose own was not measured.
    pub(super) fn new(pace: SlotPace, usual: SlotPace) -> Self {
        Self {
            heads: [None; 3],
            seen: [None; 3],
            believed: [None; 3],
            settled: [None; 3],
            stopped: [None; 3],
            pace,
            usual,
        }
    }

    /// Those in service that nobody has seen get where they are, with two others, or all, elsewhere.
    pub(super) fn lonely<'a>(
        &self,
        members: &'a [Arc<EndpointState>],
        now: Instant,
    ) -> impl Iterator<Item = &'a Arc<EndpointState>> {
        let paces = (self.pace, self.usual);
        members.iter().filter(move |live| {
            live.health() == Health::Healthy
                && Commitment::ALL
                    .into_iter()
                    .any(|level| is_lonely(level, live, members, now, paces))
        })
    }

    /// Adds the observations of all upstreams but `except` at one commitment.
    pub(super) fn take_in(
        &mut self,
        level: Commitment,
        members: &[Arc<EndpointState>],
        except: Option<&str>,
        now: Instant,
    ) {
        let index = level.index();
        let (Some(head), Some(newest), Some(believed), Some(settled), Some(stopped)) = (
            self.heads.get_mut(index),
            self.seen.get_mut(index),
            self.believed.get_mut(index),
            self.settled.get_mut(index),
            self.stopped.get_mut(index),
        ) else {
            return;
        };
        let own = members.iter().find(|live| Some(live.id()) == except);
        let fastest = own.map_or(self.usual, |own| fastest(own, self.usual));
        for live in members {
            let stand = live.stand();
            let Some(seen) = stand.seen(level) else {
                continue;
            };
            let excepted = Some(live.id()) == except;
            let health = live.health();
            if health == Health::Stopped && !excepted {
                *stopped = (*stopped).max(Some(seen.slot));
            }
            if excepted
                || !health.knows_the_tip()
                || is_lonely(level, live, members, now, (self.pace, self.usual))
            {
                continue;
            }
            let pace = stand.pace().unwrap_or(self.pace);
            let reckoned = if stand.stands(pace) || is_halted(&stand, members, now, self.pace) {
                SlotEstimate::standing(seen.slot, now)
            } else {
                SlotEstimate::of(&seen, now, pace)
            };
            if health != Health::Suspect {
                let reached = Some(reckoned.estimate(now));
                *believed = (*believed).max(reached);
                let fresh = now.saturating_duration_since(seen.at) < FURTHEST;
                if fresh && health.is_a_witness() && !stand.catches_up(fastest) {
                    *settled = (*settled).max(reached);
                }
            }
            if head.is_none_or(|head| reckoned.estimate(now) > head.estimate(now)) {
                *head = Some(reckoned);
            }
            *newest = (*newest).max(Some(seen.slot));
        }
    }
}

/// The pace that one must exceed to catch up, as this upstream sees it: one that is as fast itself does not
/// turn the others into such.
fn fastest(own: &EndpointState, usual: SlotPace) -> SlotPace {
    usual.max(own.stand().measured_pace())
}

/// Whether an upstream is ahead of two others that agree, or out of reach of another one, and has not been
/// seen to get there.
fn is_lonely(
    level: Commitment,
    live: &EndpointState,
    members: &[Arc<EndpointState>],
    now: Instant,
    (pace, usual): (SlotPace, SlotPace),
) -> bool {
    let stand = live.stand();
    if stand.anchored || members.len() < 2 {
        return false;
    }
    let Some(slot) = stand.estimate(level, now, pace) else {
        return false;
    };
    let others = |level| witnesses(level, members, live, now, (pace, usual));
    let is_wild = |level| {
        let newest = others(level).last().copied();
        newest.is_some_and(|newest| newest.lag_behind(slot) > WILD)
    };
    agreed_among(&others(level)).is_some_and(|others| others.lag_behind(slot) > LEAP)
        || Commitment::ALL.into_iter().any(is_wild)
}

/// The newest slot that two others than this one agree on.
pub(super) fn agreed(
    level: Commitment,
    members: &[Arc<EndpointState>],
    except: &str,
    now: Instant,
    (pace, usual): (SlotPace, SlotPace),
) -> Option<Slot> {
    let own = members.iter().find(|live| live.id() == except)?;
    agreed_among(&witnesses(level, members, own, now, (pace, usual)))
}

fn agreed_among(sorted: &[Slot]) -> Option<Slot> {
    let mut pairs = sorted.array_windows().rev();
    pairs
        .find(|[lower, upper]| lower.lag_behind(*upper) <= AGREEMENT)
        .map(|[_, upper]| *upper)
}

/// Where the others are, in order. Only those count that were seen lately and advance, but do not catch up,
/// and that do not call themselves late.
fn witnesses(
    level: Commitment,
    members: &[Arc<EndpointState>],
    of: &EndpointState,
    now: Instant,
    (pace, usual): (SlotPace, SlotPace),
) -> Vec<Slot> {
    let fastest = fastest(of, usual);
    let witness = |live: &Arc<EndpointState>| {
        if live.id() == of.id() || !live.health().is_a_witness() {
            return None;
        }
        let stand = live.stand();
        let age = now.saturating_duration_since(stand.seen(level)?.at);
        let pace = stand.pace().unwrap_or(pace);
        let counts = age < FURTHEST && !stand.stands(pace) && !stand.catches_up(fastest);
        counts.then(|| stand.estimate(level, now, pace))?
    };
    let mut slots: Vec<Slot> = members.iter().filter_map(witness).collect();
    slots.sort_unstable();
    slots
}
