//! How far back each upstream's history reaches, and which upstreams may have what another lacks.
//!
//! Paid and public upstreams count as archives unless `capabilities` says otherwise: what their
//! front node reports of its own ledger is not what the provider keeps. A local one's report
//! counts.

use perijove_core::Slot;
use tokio::time::Instant;

use crate::config::Tier;
use crate::solana::{AbsenceWording, Capability, HistoryPosition};
use crate::upstream::Upstream;

#[cfg(test)]
mod tests;

/// How far back an upstream's history reaches, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryReach {
    /// To the beginning: the configuration says so.
    Archive,
    /// To the beginning, like those of its tier. With the beginning it reports.
    Presumed(Option<Slot>),
    /// From this slot on, as it reports.
    From(Slot),
    /// Not reported.
    Unknown,
    /// It keeps none.
    Nothing,
}

/// Smaller is nearer to what is looked for.
pub(in crate::upstream) type HistoryDistance = (u64, u64);

impl HistoryReach {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Presumed(_) => "presumed archive",
            Self::From(_) => "oldest slot",
            Self::Unknown => "unknown",
            Self::Nothing => "none",
        }
    }

    /// Whether something it lacks in this slot does not exist.
    pub fn covers(self, slot: Slot) -> bool {
        match self {
            Self::Archive => true,
            Self::Presumed(oldest) => oldest.is_none_or(|oldest| oldest <= slot),
            Self::From(oldest) => oldest <= slot,
            Self::Unknown | Self::Nothing => false,
        }
    }

    /// Whether it may have what is in this slot.
    fn may_cover(self, slot: Slot) -> bool {
        match self {
            Self::Archive | Self::Presumed(_) | Self::Unknown => true,
            Self::From(oldest) => oldest <= slot,
            Self::Nothing => false,
        }
    }

    const fn is_archive(self) -> bool {
        matches!(self, Self::Archive | Self::Presumed(_))
    }

    /// Smaller is deeper. A presumed archive ranks behind a known one.
    fn depth(self) -> HistoryDistance {
        match self {
            Self::Archive => (0, 0),
            Self::Presumed(oldest) => (0, oldest.map_or(0, |oldest| oldest.0).saturating_add(1)),
            Self::From(oldest) => (oldest.0, 0),
            Self::Unknown => (u64::MAX, 0),
            Self::Nothing => (u64::MAX, 1),
        }
    }

    fn is_deeper_than(self, other: Self) -> bool {
        self.depth() < other.depth()
    }
}

impl Upstream {
    /// How far back its history reaches.
    pub fn reach(&self, now: Instant) -> HistoryReach {
        let member = &self.member;
        let live = &member.live;
        let rules = &member.methods;
        let lacks = |capability| live.hold_off.lock().lacks(capability, now);
        if !rules.grant(Capability::History) || (!live.is_clear() && lacks(Capability::History)) {
            return HistoryReach::Nothing;
        }
        if rules.grant(Capability::Archive) {
            return HistoryReach::Archive;
        }
        let presumed = self.settings().capabilities.is_none() && self.tier() != Tier::Local;
        match (presumed, live.oldest()) {
            (true, oldest) => HistoryReach::Presumed(oldest),
            (false, Some(oldest)) => HistoryReach::From(oldest),
            (false, None) => HistoryReach::Unknown,
        }
    }
}

/// Other upstreams that may have what one lacks.
#[derive(Clone, Copy, Debug)]
pub struct DeeperUpstreams<'a> {
    /// The upstream that lacks it.
    pub than: &'a Upstream,
    /// How it said so.
    pub word: AbsenceWording,
    /// Where it would be.
    pub place: HistoryPosition,
}

impl DeeperUpstreams<'_> {
    /// Whether another upstream may have it.
    pub(in crate::upstream) fn accepts(&self, other: &Upstream, now: Instant) -> bool {
        if std::ptr::eq(self.than, other) {
            return false;
        }
        may_have(
            self.word,
            self.place,
            self.than.reach(now),
            other.reach(now),
        )
    }

    /// How likely the other has it, and what it costs to be wrong: for a known slot any upstream
    /// that has it will do, and one's own node is nearer than a deep archive; otherwise the deepest
    /// is asked, because only one is.
    pub(in crate::upstream) fn distance(&self, other: &Upstream, now: Instant) -> HistoryDistance {
        let reach = other.reach(now);
        match self.place {
            HistoryPosition::From(slot) => (u64::from(!reach.covers(slot)), 0),
            HistoryPosition::Anywhere => reach.depth(),
        }
    }
}

/// Whether an upstream may have what another says it lacks.
fn may_have(
    word: AbsenceWording,
    place: HistoryPosition,
    said_by: HistoryReach,
    other: HistoryReach,
) -> bool {
    if other == HistoryReach::Nothing {
        return false;
    }
    match (word, place) {
        // A skipped slot or a hole in the ledger of a node that was restarted from a snapshot: any
        // second node knows. Between archives only the deeper one does.
        (AbsenceWording::Skipped, HistoryPosition::From(slot)) if !said_by.is_archive() => {
            other.may_cover(slot)
        }
        // It says itself that it lacks it; its own reach does not matter then.
        (AbsenceWording::Refused, HistoryPosition::From(slot)) => {
            other != HistoryReach::Unknown && other.may_cover(slot)
        }
        (AbsenceWording::Refused, HistoryPosition::Anywhere) => {
            other.is_archive() || other.is_deeper_than(said_by)
        }
        (_, HistoryPosition::From(slot)) => other.may_cover(slot) && other.is_deeper_than(said_by),
        (_, HistoryPosition::Anywhere) => other.is_deeper_than(said_by),
    }
}
