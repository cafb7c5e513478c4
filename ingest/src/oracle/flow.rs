//! The turnover of a pool, and the funds it was seen to hold.

/// Half of it is forgotten after this many milliseconds.
const HALF_LIFE: f64 = 3_600_000.0;

/// Turnover counts up to this multiple of the funds behind it.
const TIMES: f64 = 20.0;

/// Turnover of a pool that was never seen to hold anything counts up to this many dollars.
const UNBACKED: f64 = 1.0;

/// Maximum that one slot adds, in dollars, so that a flash loan buys little.
const MOST_OF_A_SLOT: f64 = 25_000.0;

/// Money through a pool, in dollars.
///
/// Wash trading can produce any turnover, but the money ends up where it was before. Funds that are
/// in the pool at the end of one slot and not at the end of another were really there: they can
/// neither be borrowed for one transaction nor be used twice. So the range of the net flow from
/// slot to slot limits how much turnover counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    standing: f64,
    /// The net flow up to the end of the last slot, and its range.
    level: f64,
    low: f64,
    high: f64,
    slot: u64,
    /// The net flow of this slot, and its turnover.
    here: f64,
    turned: f64,
    at: f64,
}

impl Flow {
    pub(super) fn add(&mut self, slot: u64, usd: f64, left_to_right: bool, active: f64) {
        self.fade(active);
        if slot != self.slot {
            self.level += bounded(self.here);
            self.here = 0.0;
            self.turned = 0.0;
            self.low = self.low.min(self.level);
            self.high = self.high.max(self.level);
            self.slot = slot;
        }
        let counted = usd.min(MOST_OF_A_SLOT - self.turned).max(0.0);
        self.turned += counted;
        self.standing += counted;
        self.here += if left_to_right { usd } else { -usd };
    }

    fn fade(&mut self, active: f64) {
        let passed = active - self.at;
        // Often enough for hours, rarely enough to cost nothing.
        if passed > 1_000.0 {
            let rest = (-passed / HALF_LIFE).exp2();
            self.standing *= rest;
            self.low = self.level + (self.low - self.level) * rest;
            self.high = self.level + (self.high - self.level) * rest;
            self.at = active;
        }
    }

    fn rest(&self, active: f64) -> f64 {
        (-(active - self.at).max(0.0) / HALF_LIFE).exp2()
    }

    /// The range of the net flow: funds that were there.
    pub(super) fn backing(&self) -> f64 {
        let now = self.level + bounded(self.here);
        self.high.max(now) - self.low.min(now)
    }

    /// The turnover that counts.
    pub(super) fn capital(&self, active: f64) -> f64 {
        let standing = self.standing * self.rest(active);
        standing.min(TIMES * self.backing() + UNBACKED)
    }

    /// The evidence for a price: the funds behind it.
    pub(super) fn evidence(&self, active: f64) -> f64 {
        (self.standing * self.rest(active)).min(self.backing())
    }
}

fn bounded(flow: f64) -> f64 {
    flow.clamp(-MOST_OF_A_SLOT, MOST_OF_A_SLOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loan_for_one_transaction_counts_for_little() {
        let mut flow = Flow::default();
        flow.add(1, 1e9, true, 0.0);
        assert!(flow.capital(0.0) <= MOST_OF_A_SLOT);
    }

    #[test]
    fn turnover_with_oneself_within_a_slot_counts_for_next_to_nothing() {
        let mut own = Flow::default();
        for slot in 0..1_000 {
            own.add(slot, 1e6, true, 0.0);
            own.add(slot, 1e6, false, 0.0);
        }
        assert!(own.capital(0.0) <= 1.0, "{own:?}");
        assert!(own.evidence(0.0) <= 1.0);
    }

    #[test]
    fn turnover_from_slot_to_slot_counts_by_the_funds_behind_it() {
        let mut own = Flow::default();
        for slot in 0..10_000 {
            own.add(slot, 100.0, slot % 2 == 0, 0.0);
        }
        assert!(own.capital(0.0) <= 20.0 * 100.0 + 1.0, "{own:?}");
        let mut honest = Flow::default();
        for slot in 0..100 {
            honest.add(slot, 100.0, slot % 10 < 7, 0.0);
        }
        assert!(honest.capital(0.0) > 9_999.0, "{honest:?}");
    }

    #[test]
    fn one_trade_counts_for_what_it_is() {
        let mut flow = Flow::default();
        flow.add(7, 250.0, false, 0.0);
        assert!((flow.capital(0.0) - 250.0).abs() < 1e-9);
        assert!((flow.evidence(0.0) - 250.0).abs() < 1e-9);
        assert!((flow.capital(HALF_LIFE) - 125.0).abs() < 1e-9);
    }
}
