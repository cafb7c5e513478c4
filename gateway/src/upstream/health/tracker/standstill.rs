//! Whether an upstream stands still while the others go on.

use std::time::Duration;

use super::Tracker;
use crate::config;
use crate::upstream::health::slot_position::{STILL, STILL_SLOTS};

/// Looks without a new slot before a few seconds without one count.
const STILL_LOOKS: u32 = 3;
/// An upstream that has stood still for long is excluded if the others are this far ahead;
const LITTLE: u64 = 4;
/// and earlier if they advance meanwhile, although they may be assumed further back than they are.
const NEAR: u64 = 5;

impl Tracker {
    /// How long it has shown no new slot. Only observed time counts: an upstream that was not asked
    /// may well have advanced.
    pub(super) fn stood(&self) -> Duration {
        match (self.stand.looked_at, self.stand.advanced_at) {
            (Some(looked), Some(advanced)) => looked.saturating_duration_since(advanced),
            _ => Duration::ZERO,
        }
    }

    /// If all stand still the cluster does, and no upstream is worse for it.
    pub(super) fn stands_still(&self, limits: &config::HealthSettings) -> bool {
        let stood = self.stood();
        let long = stood >= limits.stopped_after;
        let Some(behind) = self.behind else {
            return long;
        };
        let soon = self.looks >= STILL_LOOKS
            && stood >= STILL.min(limits.stopped_after)
            && self.moves.slots(stood) >= STILL_SLOTS;
        (soon && behind >= NEAR) || (long && behind >= LITTLE)
    }
}
