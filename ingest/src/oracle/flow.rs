//! The turnover of a pool, and the funds it was seen to hold.

use crate::oracle::clock::Now;

/// Half of it is forgotten after this many milliseconds.
const HALF_LIFE: f64 = 3_600_000.0;

/// Half of the recent turnover is forgotten after this many milliseconds.
const RECENT: f64 = 30_000.0;

/// Turnover counts up to this multiple of the funds behind it.
const TIMES: f64 = 20.0;

/// Turnover of a pool that was never seen to hold anything counts up to this many dollars.
const UNBACKED: f64 = 1.0;

/// Maximum turnover that one slot adds, in dollars, so that a flash loan buys little.
const MOST_OF_A_SLOT: f64 = 25_000.0;

/// Slots whose turnover is still told apart: trades arrive in about the order of their slots.
const SLOTS: usize = 8;

/// Slots whose net flow is summed up, about thirteen seconds.
const SPAN: u64 = 32;

/// The spans that a trade may still be added to; later ones arrived too late.
const SPANS: usize = 16;

/// Maximum net flow of one span, in dollars.
const MOST_OF_A_SPAN: f64 = 100_000.0;

/// Money through a pool, in dollars.
///
/// Wash trading can produce any turnover, but the money ends up where it was before. Funds that are
/// in the pool at the end of one span of slots and not at the end of another were really there:
/// they can neither be borrowed for one transaction nor be used twice. So the range of the net flow
/// limits how much turnover counts.
///
/// The net flow is kept by slot number, in whatever order trades arrive: partitions are read
/// beside each other. Whoever has bought in the slots of one of them and sold in those of another
/// has moved nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    standing: f64,
    recent: f64,
    /// The net flow up to the oldest of the spans, and its range.
    level: f64,
    low: f64,
    high: f64,
    /// The net flow of the last spans, by their number modulo how many there are.
    spans: [f64; SPANS],
    newest: u64,
    /// Whether a span is complete.
    closed: bool,
    /// The net flow of trades that came too late for their span.
    late: f64,
    /// The counted turnover of the last slots, by their number modulo how many there are.
    turned: [(u64, f64); SLOTS],
    at: f64,
}

impl Flow {
    pub(super) fn add(&mut self, slot: u64, usd: f64, left_to_right: bool, active: f64) {
        self.fade(active);
        let span = slot / SPAN;
        if span > self.newest {
            self.advance(span);
        }
        let counted = self.counted(slot, usd);
        self.standing += counted;
        self.recent += counted;
        let net = if left_to_right { usd } else { -usd };
        let age = usize::try_from(self.newest - span).unwrap_or(usize::MAX);
        match self.spans.get_mut(place(span)) {
            Some(flow) if age < SPANS => *flow += net,
            _ => self.late += net,
        }
    }

    /// How much of it counts as turnover of its slot.
    fn counted(&mut self, slot: u64, usd: f64) -> f64 {
        let place = usize::try_from(slot % SLOTS as u64).unwrap_or_default();
        let Some(turned) = self.turned.get_mut(place) else {
            return 0.0;
        };
        if turned.0 > slot {
            return 0.0;
        }
        if turned.0 < slot {
            *turned = (slot, 0.0);
        }
        let counted = usd.min(MOST_OF_A_SLOT - turned.1).max(0.0);
        turned.1 += counted;
        counted
    }

    /// Begins a span; what it displaces is settled.
    fn advance(&mut self, span: u64) {
        self.closed = self.standing > 0.0;
        let steps = (span - self.newest).min(SPANS as u64);
        for step in 1..=steps {
            if let Some(flow) = self.spans.get_mut(place(self.newest + step)) {
                self.level += bounded(std::mem::take(flow));
                self.low = self.low.min(self.level);
                self.high = self.high.max(self.level);
            }
        }
        self.newest = span;
    }

    fn fade(&mut self, active: f64) {
        let passed = active - self.at;
        // Often enough for hours, rarely enough to cost nothing.
        if passed > 1_000.0 {
            let rest = (-passed / HALF_LIFE).exp2();
            self.standing *= rest;
            self.late *= rest;
            self.low = self.level + (self.low - self.level) * rest;
            self.high = self.level + (self.high - self.level) * rest;
            self.recent *= (-passed / RECENT).exp2();
            self.at = active;
        }
    }

    fn standing(&self, active: f64) -> f64 {
        self.standing * (-(active - self.at).max(0.0) / HALF_LIFE).exp2()
    }

    /// The range of the net flow: funds that were there. What may not be complete, because trades
    /// of slots from `settled` on are still to come, shows nothing, as it may have been taken out
    /// again at once; unless it is all there is.
    pub(super) fn backing(&self, settled: u64) -> f64 {
        let (mut level, mut low, mut high) = (self.level, self.low, self.high);
        let oldest = (self.newest + 1).saturating_sub(SPANS as u64);
        let end = if self.closed {
            (self.newest + 1).min(settled / SPAN)
        } else {
            self.newest + 1
        };
        for span in oldest..end {
            level += bounded(self.spans.get(place(span)).copied().unwrap_or(0.0));
            low = low.min(level);
            high = high.max(level);
        }
        (high - low - self.late.abs()).max(0.0)
    }

    /// The turnover that counts.
    pub(super) fn capital(&self, now: Now) -> f64 {
        let backed = TIMES * self.backing(now.settled) + UNBACKED;
        self.standing(now.active).min(backed)
    }

    /// All of it, of a pool of this age in milliseconds.
    pub(super) fn funds(&self, age: f64, now: Now) -> Funds {
        let standing = self.standing(now.active);
        let backing = self.backing(now.settled);
        let capital = standing.min(TIMES * backing + UNBACKED);
        let recent = self.recent * (-(now.active - self.at).max(0.0) / RECENT).exp2();
        let lasted = 1.0 - (-age.max(RECENT) / HALF_LIFE).exp2();
        Funds {
            capital,
            evidence: standing.min(backing),
            recent: recent.min(capital),
            usual: standing * RECENT / (HALF_LIFE * lasted),
        }
    }
}

/// What a pool has turned over and shown, in dollars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Funds {
    /// The turnover that counts.
    pub(super) capital: f64,
    /// The funds behind it: what speaks for a price.
    pub(super) evidence: f64,
    /// The turnover of the last half a minute or so, as far as it counts, and what it usually is.
    pub(super) recent: f64,
    pub(super) usual: f64,
}

fn place(span: u64) -> usize {
    usize::try_from(span % SPANS as u64).unwrap_or_default()
}

fn bounded(flow: f64) -> f64 {
    flow.clamp(-MOST_OF_A_SPAN, MOST_OF_A_SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(active: f64) -> Now {
        Now {
            active,
            settled: u64::MAX,
        }
    }

    #[test]
    fn a_loan_for_one_transaction_counts_for_little() {
        let mut flow = Flow::default();
        flow.add(1, 1e9, true, 0.0);
        assert!(flow.capital(at(0.0)) <= MOST_OF_A_SLOT);
    }

    #[test]
    fn turnover_with_oneself_within_a_slot_counts_for_next_to_nothing() {
        let mut own = Flow::default();
        for slot in 0..1_000 {
            own.add(slot, 1e6, true, 0.0);
            own.add(slot, 1e6, false, 0.0);
        }
        assert!(own.capital(at(0.0)) <= 1.0, "{own:?}");
        assert!(own.funds(0.0, at(0.0)).evidence <= 1.0);
    }

    #[test]
    fn turnover_from_slot_to_slot_counts_by_the_funds_behind_it() {
        let mut own = Flow::default();
        for slot in 0..10_000 {
            own.add(slot, 100.0, slot % 2 == 0, 0.0);
        }
        assert!(own.capital(at(0.0)) <= 20.0 * 100.0 + 1.0, "{own:?}");
        let mut honest = Flow::default();
        for slot in 0..100 {
            honest.add(slot, 100.0, slot % 10 < 7, 0.0);
        }
        assert!(honest.capital(at(0.0)) > 9_999.0, "{honest:?}");
    }

    #[test]
    fn one_trade_counts_for_what_it_is() {
        let mut flow = Flow::default();
        flow.add(7, 250.0, false, 0.0);
        assert!((flow.capital(at(0.0)) - 250.0).abs() < 1e-9);
        assert!((flow.funds(0.0, at(0.0)).evidence - 250.0).abs() < 1e-9);
        assert!((flow.capital(at(HALF_LIFE)) - 125.0).abs() < 1e-9);
    }

    #[test]
    fn the_order_in_which_slots_arrive_makes_no_funds() {
        // A thousand dollars to and fro; every other slot is read later, by ever more.
        for lag in [0_u64, 1, 7, 40, 150, 400] {
            let mut flow = Flow::default();
            for slot in 1_000..4_000_u64 {
                if slot % 2 == 0 {
                    flow.add(slot, 1_000.0, true, 0.0);
                }
                let before = slot - lag;
                if before % 2 == 1 && before >= 1_000 {
                    flow.add(before, 1_000.0, false, 0.0);
                }
            }
            let backing = flow.backing(4_000 - lag);
            assert!(backing <= 2_000.0, "{lag}: {backing}");
        }
    }

    #[test]
    fn the_limit_of_a_slot_holds_whatever_comes_between() {
        let mut flow = Flow::default();
        for _ in 0..1_000 {
            flow.add(1_000, 5_000.0, true, 0.0);
            flow.add(1_001, 5_000.0, true, 0.0);
        }
        assert!(flow.standing <= 2.0 * MOST_OF_A_SLOT, "{flow:?}");
    }
}
