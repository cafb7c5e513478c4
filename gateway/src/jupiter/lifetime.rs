//! How long a kept quote is valid: counted in slots from the market state it was made from, at least
//! one for each time that a slot takes, and ended by a trade in one of its pools.

use std::time::Duration;

use perijove_core::Slot;

/// Lifetimes by the active configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteLifetimes {
    pub valid_slots: u64,
    /// The same over pools in which nothing has happened, while trades arrive.
    pub quiet_slots: u64,
    /// If slots are unknown.
    pub ttl: Duration,
}

/// The facts by which a quote is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteContext {
    /// The slot of the markets it was made from.
    pub context: Option<Slot>,
    /// The cluster's newest slot.
    pub tip: Option<Slot>,
    /// The same when it arrived.
    pub tip_then: Option<Slot>,
    /// Time since then.
    pub age: Duration,
    /// The last known trade in one of its pools.
    pub traded: Option<Slot>,
    /// Whether every trade in its pools since its slot was received.
    pub heard: bool,
}

/// Validity of a kept quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuoteValidity {
    /// Valid; by how many slots it is behind, if known.
    Fresh(Option<u64>),
    /// Too old.
    Expired,
    /// One of its pools has traded since.
    Traded,
}

/// A quote from further ahead than the gateway's view of the cluster can lag says nothing about its
/// age.
pub(super) const AHEAD: u64 = 32;

/// What a slot takes. A quote ages by one in this time also while the gateway's view of the cluster
/// stands still.
const SLOT_TIME: Duration = Duration::from_millis(400);

impl QuoteContext {
    /// By how many slots the quote is behind the cluster at least; `None` if its slot says nothing.
    pub fn behind(&self) -> Option<u64> {
        let (context, tip) = self.context.zip(self.tip)?;
        if context.0 > tip.0.saturating_add(AHEAD) {
            return None;
        }
        let then = self.tip_then.map_or(0, |then| context.lag_behind(then));
        let passed = self.age.as_millis() / SLOT_TIME.as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        Some(context.lag_behind(tip).max(then.saturating_add(passed)))
    }
}

impl QuoteLifetimes {
    /// Judges a quote.
    pub fn worth(&self, present: &QuoteContext) -> QuoteValidity {
        let (Some(context), Some(behind)) = (present.context, present.behind()) else {
            return self.by_time(present);
        };
        if present.traded.is_some_and(|traded| traded > context) {
            return QuoteValidity::Traded;
        }
        let slots = if present.heard {
            self.quiet_slots.max(self.valid_slots)
        } else {
            self.valid_slots
        };
        if behind > slots {
            return QuoteValidity::Expired;
        }
        QuoteValidity::Fresh(Some(behind))
    }

    fn by_time(&self, present: &QuoteContext) -> QuoteValidity {
        match (present.traded, present.context) {
            (Some(traded), Some(context)) if traded > context => QuoteValidity::Traded,
            _ if present.age < self.ttl => QuoteValidity::Fresh(None),
            _ => QuoteValidity::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: QuoteLifetimes = QuoteLifetimes {
        valid_slots: 2,
        quiet_slots: 20,
        ttl: Duration::from_millis(800),
    };

    fn at(context: u64) -> QuoteContext {
        QuoteContext {
            context: Some(Slot(context)),
            tip: Some(Slot(1_000)),
            tip_then: Some(Slot(context)),
            age: Duration::from_millis(100),
            traded: None,
            heard: false,
        }
    }

    #[test]
    fn a_quote_lives_for_some_slots_and_longer_where_nothing_happens() {
        for (context, heard, worth) in [
            (1_000, false, QuoteValidity::Fresh(Some(0))),
            (998, false, QuoteValidity::Fresh(Some(2))),
            (997, false, QuoteValidity::Expired),
            (980, true, QuoteValidity::Fresh(Some(20))),
            (979, true, QuoteValidity::Expired),
            (1_003, false, QuoteValidity::Fresh(Some(0))),
        ] {
            let present = QuoteContext {
                heard,
                ..at(context)
            };
            assert_eq!(RULES.worth(&present), worth, "{context} {heard}");
        }
    }

    #[test]
    fn a_later_trade_ends_it_and_an_earlier_one_does_not() {
        for (traded, worth) in [
            (998, QuoteValidity::Fresh(Some(1))),
            (999, QuoteValidity::Fresh(Some(1))),
            (1_000, QuoteValidity::Traded),
        ] {
            for heard in [true, false] {
                let present = QuoteContext {
                    traded: Some(Slot(traded)),
                    heard,
                    ..at(999)
                };
                assert_eq!(RULES.worth(&present), worth, "{traded}");
            }
        }
    }

    #[test]
    fn without_slots_it_lives_for_a_moment() {
        let unknown = [
            QuoteContext {
                context: None,
                ..at(1)
            },
            QuoteContext { tip: None, ..at(1) },
            at(1_033),
        ];
        for present in unknown {
            assert_eq!(RULES.worth(&present), QuoteValidity::Fresh(None));
            let old = QuoteContext {
                age: Duration::from_millis(800),
                heard: true,
                ..present
            };
            assert_eq!(RULES.worth(&old), QuoteValidity::Expired);
        }
    }

    #[test]
    fn a_quote_ages_with_time_also_where_the_slots_stand_still() {
        for (then, millis, heard, worth) in [
            // Slots of the cluster that it could not have seen are not known either.
            (900, 0, false, QuoteValidity::Fresh(Some(0))),
            (1_000, 399, false, QuoteValidity::Fresh(Some(0))),
            (1_000, 400, false, QuoteValidity::Fresh(Some(1))),
            (1_000, 1_199, false, QuoteValidity::Fresh(Some(2))),
            (1_000, 1_200, false, QuoteValidity::Expired),
            (1_001, 799, false, QuoteValidity::Fresh(Some(2))),
            (1_001, 800, false, QuoteValidity::Expired),
            (1_000, 8_399, true, QuoteValidity::Fresh(Some(20))),
            (1_000, 8_400, true, QuoteValidity::Expired),
        ] {
            let present = QuoteContext {
                tip_then: Some(Slot(then)),
                age: Duration::from_millis(millis),
                heard,
                ..at(1_000)
            };
            assert_eq!(RULES.worth(&present), worth, "{then} {millis} {heard}");
        }
    }
}
