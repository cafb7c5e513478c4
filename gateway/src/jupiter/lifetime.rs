//! How long a kept quote is valid: counted in slots from the market state it was made from, and
//! ended by a trade in one of its pools.

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
    /// Time since it arrived.
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

/// No slot takes longer: a stuck slot clock must not keep quotes for ever.
const SLOWEST_SLOT: Duration = Duration::from_secs(1);

impl QuoteLifetimes {
    /// Judges a quote.
    pub fn worth(&self, present: &QuoteContext) -> QuoteValidity {
        let Some((context, tip)) = present.context.zip(present.tip) else {
            return self.by_time(present);
        };
        if context.0 > tip.0.saturating_add(AHEAD) {
            return self.by_time(present);
        }
        if present.traded.is_some_and(|traded| traded > context) {
            return QuoteValidity::Traded;
        }
        let slots = if present.heard {
            self.quiet_slots.max(self.valid_slots)
        } else {
            self.valid_slots
        };
        let behind = context.lag_behind(tip);
        let longest = SLOWEST_SLOT * u32::try_from(slots + 1).unwrap_or(u32::MAX);
        if behind > slots || present.age > longest {
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
    fn a_clock_of_slots_that_stands_still_keeps_nothing_for_ever() {
        let present = QuoteContext {
            age: Duration::from_secs(4),
            ..at(1_000)
        };
        assert_eq!(RULES.worth(&present), QuoteValidity::Expired);
    }
}
