//! What all upstreams, or all but one, have shown: where the cluster is, and which of them agree.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::upstream::health::clock::SlotEstimate;
use crate::upstream::health::credibility::LEAP;
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
    /// Where the ones that stand still have stopped.
    pub(super) stopped: [Option<Slot>; 3],
    pub(super) pace: SlotPace,
}

impl Survey {
    /// Adds the observations of all upstreams but `except` at one commitment.
    pub(super) fn take_in(
        &mut self,
        level: Commitment,
        members: &[Arc<EndpointState>],
        except: Option<&str>,
        now: Instant,
    ) {
        let index = level.index();
        let (Some(head), Some(newest), Some(believed), Some(stopped)) = (
            self.heads.get_mut(index),
            self.seen.get_mut(index),
            self.believed.get_mut(index),
            self.stopped.get_mut(index),
        ) else {
            return;
        };
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
                || is_lonely(level, live, members, now, self.pace)
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
                *believed = (*believed).max(Some(reckoned.estimate(now)));
            }
            if head.is_none_or(|head| reckoned.estimate(now) > head.estimate(now)) {
                *head = Some(reckoned);
            }
            *newest = (*newest).max(Some(seen.slot));
        }
    }
}

/// Whether an upstream is ahead of two others that agree, and has not been seen to get there.
fn is_lonely(
    level: Commitment,
    live: &EndpointState,
    members: &[Arc<EndpointState>],
    now: Instant,
    pace: SlotPace,
) -> bool {
    let stand = live.stand();
    if stand.anchored || members.len() < 3 {
        return false;
    }
    let Some(slot) = stand.estimate(level, now, pace) else {
        return false;
    };
    agreed(level, members, live.id(), now, pace)
        .is_some_and(|others| others.lag_behind(slot) > LEAP)
}

/// The newest slot that two others than this one agree on. Only those count that were seen lately
/// and advance, and that do not call themselves late.
pub(super) fn agreed(
    level: Commitment,
    members: &[Arc<EndpointState>],
    except: &str,
    now: Instant,
    pace: SlotPace,
) -> Option<Slot> {
    if members.len() < 3 {
        return None;
    }
    let witness = |live: &Arc<EndpointState>| {
        if live.id() == except || !live.health().is_a_witness() {
            return None;
        }
        let stand = live.stand();
        let age = now.saturating_duration_since(stand.seen(level)?.at);
        let pace = stand.pace().unwrap_or(pace);
        (age < FURTHEST && !stand.stands(pace)).then(|| stand.estimate(level, now, pace))?
    };
    let mut slots: Vec<Slot> = members.iter().filter_map(witness).collect();
    slots.sort_unstable();
    slots
        .array_windows()
        .rev()
        .find(|[lower, upper]| lower.lag_behind(*upper) <= AGREEMENT)
        .map(|[_, upper]| *upper)
}
