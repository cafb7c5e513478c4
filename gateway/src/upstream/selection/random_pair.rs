//! Of the upstreams that suit a call best, two random ones.

use super::obstacle::Obstacle;
use crate::config::Tier;
use crate::upstream::state::history::HistoryDistance;

/// Whether metered upstreams are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Charges {
    Allowed,
    Avoided,
}

impl Charges {
    pub(super) fn of_hedge(charging: bool) -> Self {
        if charging {
            Self::Allowed
        } else {
            Self::Avoided
        }
    }
}

/// The rank of an upstream for a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UpstreamRank {
    pub(super) obstacle: Obstacle,
    /// How far its history is from what is looked for; equal for all if none is.
    pub(super) distance: HistoryDistance,
    /// It is metered and the call is probably a mistake.
    pub(super) charges: bool,
    /// All its connections are in use: the call would wait for one. Any other equally healthy one
    /// is better, of whatever tier.
    pub(super) busy: bool,
    /// Another attempt should rather go to one that does not fail most of its calls, of whatever
    /// tier.
    pub(super) struggling: bool,
    pub(super) tier: Tier,
}

/// Two random ones of the best rank.
pub(super) struct RandomPair {
    pub(super) rank: UpstreamRank,
    pub(super) first: usize,
    pub(super) second: Option<usize>,
    pub(super) seen: usize,
    /// Another one is only kept from being asked by a pause.
    pub(super) paused: bool,
}

impl RandomPair {
    pub(super) fn suits_hedge(&self, charging: bool) -> bool {
        // A stuck call may go to one that is not known to have reached the slot yet: its answer is
        // checked.
        let worst = if charging {
            Obstacle::Behind
        } else {
            Obstacle::None
        };
        self.rank.obstacle <= worst && !self.rank.busy
    }

    /// Adds one of the same rank. Every pair is equally likely to be kept.
    pub(super) fn add(&mut self, index: usize) {
        self.seen += 1;
        if self.second.is_none() {
            self.second = Some(index);
            return;
        }
        match fastrand::usize(..self.seen) {
            0 => self.first = index,
            1 => self.second = Some(index),
            _ => {}
        }
    }
}
