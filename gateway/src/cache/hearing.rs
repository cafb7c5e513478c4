//! Whether the trades that ingest publishes arrive, judged by the slots that they name and the cluster's.
//! A slot that is ahead of the cluster shows nothing: one wrong record, or the trades of another cluster,
//! must not speak for trades that come late.

use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

/// Further ahead of the gateway's view of the cluster than that can lag.
const AHEAD: u64 = 32;

/// Slots in a second, at least twice as many as there are.
const FASTEST: u64 = 5;

/// When trades count as arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// For this long after the last message.
    pub silence: Duration,
    /// While the newest trade is at most this many slots behind.
    pub lag: u64,
}

#[derive(Debug, Default)]
pub(super) struct FeedState {
    pub(super) subscribed: bool,
    pub(super) number: u64,
    /// Everything after this slot was received; set by the first check after subscribing.
    pub(super) since: Option<Slot>,
    /// When the last message came.
    last: Option<Instant>,
    /// The newest trades of this period and of the one before.
    newest: [Slot; 2],
    period: Option<Instant>,
    /// The cluster's slot at the last check.
    tip: Option<(Slot, Instant)>,
    /// Result of the last check.
    pub(super) heard: bool,
    /// When it was last logged.
    pub(super) told: Option<Instant>,
}

/// The last slot that may have been reached where the gateway sees `tip`.
pub(super) fn latest(tip: Slot) -> Slot {
    Slot(tip.0.saturating_add(AHEAD))
}

impl FeedState {
    /// A new subscription.
    pub(super) fn anew(&self) -> Self {
        Self {
            subscribed: true,
            number: self.number + 1,
            tip: self.tip,
            heard: self.heard,
            told: self.told,
            ..Self::default()
        }
    }

    /// The last slot that a trade may be of; `None` while the cluster's slot was never known.
    pub(super) fn latest(&self, now: Instant) -> Option<Slot> {
        let (tip, at) = self.tip?;
        let since = now.saturating_duration_since(at).as_secs();
        Some(Slot(latest(tip).0.saturating_add(since * FASTEST)))
    }

    /// A message came, the newest of whose trades is of this slot.
    pub(super) fn came(&mut self, newest: Slot, now: Instant) {
        self.last = Some(now);
        let [current, _] = &mut self.newest;
        *current = newest.max(*current);
    }

    /// Whether trades arrive. The cluster is at `tip`.
    pub(super) fn check(&mut self, tip: Option<Slot>, hearing: Hearing, now: Instant) -> bool {
        if let Some(tip) = tip {
            self.tip = Some((tip, now));
            // What came while the cluster's slot was not known.
            for newest in &mut self.newest {
                if *newest > latest(tip) {
                    *newest = Slot(0);
                }
            }
        }
        let begun = *self.period.get_or_insert(now);
        if now.saturating_duration_since(begun) > hearing.silence {
            self.period = Some(now);
            let [current, _] = self.newest;
            self.newest = [Slot(0), current];
        }
        let [current, before] = self.newest;
        let newest = current.max(before);
        let recent = |last: Instant| now.saturating_duration_since(last) <= hearing.silence;
        self.subscribed
            && self.last.is_some_and(recent)
            && tip.is_some_and(|tip| newest.lag_behind(tip) <= hearing.lag)
    }
}
