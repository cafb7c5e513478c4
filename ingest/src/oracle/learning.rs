//! What is learned of a token from its trades before it has a price: its decimals.

use perijove_core::Pubkey;

use crate::oracle::decimals::Decimals;
use crate::oracle::leg_value::LegValue;
use crate::oracle::token::TokenState;
use crate::oracle::{Leg, Oracle, as_f64};

/// The fewest base units on either side of a trade that counts, where a token has as many: below,
/// rounding makes the price.
const LEAST_RAW: u64 = 1_000;

/// Tokens that wait to be looked up.
const UNSURE: usize = 10_000;

impl Oracle {
    /// Learns the decimals of one side, and returns its value.
    pub(super) fn observe(&mut self, leg: &Leg, slot: u64) -> LegValue {
        let token = self.tokens.entry(leg.mint).or_insert_with(|| {
            let pinned = self.pins.get(&leg.mint).copied();
            if pinned.is_none() && self.unsure.len() < UNSURE {
                self.unsure.push(leg.mint);
            }
            pinned.map_or_else(TokenState::default, TokenState::of_known_decimals)
        });
        if let Some(decimals) = leg.decimals {
            token.decimals.vote(decimals, slot);
        }
        let least = token.decimals.best().map_or(LEAST_RAW, |decimals| {
            10_u64
                .checked_pow(decimals.into())
                .map_or(LEAST_RAW, |one| one.min(LEAST_RAW))
        });
        if leg.raw < least {
            return LegValue::Dust;
        }
        let unit = token.unit();
        unit.map_or(LegValue::Unknown, |unit| {
            LegValue::Usd(as_f64(leg.raw) * unit.exp())
        })
    }

    /// Some of the tokens that have come up lately and whose decimals are not certain yet: what earlier
    /// trades say of them may be [learned](Self::learn_decimals). Each is named once, unless it is
    /// [marked](Self::mark_unsure) again.
    pub fn take_unsure(&mut self, most: usize) -> Vec<Pubkey> {
        let mut unsure = Vec::new();
        while unsure.len() < most
            && let Some(mint) = self.unsure.pop()
        {
            let token = self.tokens.get(&mint);
            if token.is_some_and(|token| token.decimals.certain().is_none()) {
                unsure.push(mint);
            }
        }
        unsure
    }

    /// Nobody could look these up: they are named again.
    pub fn mark_unsure(&mut self, mints: Vec<Pubkey>) {
        self.unsure.extend(mints);
    }

    /// What earlier trades say of a token's decimals, with their slots. It counts only if it is beyond
    /// doubt by itself.
    pub fn learn_decimals(&mut self, mint: Pubkey, said: &[(u64, u8)]) {
        let Some(token) = self.tokens.get_mut(&mint) else {
            return;
        };
        let learned = Decimals::of(said);
        if token.decimals.certain().is_none() && learned.certain().is_some() {
            token.decimals = learned;
            self.mark_changed([mint]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_up_is_named_again() {
        let mut oracle = Oracle::default();
        let mints: Vec<Pubkey> = (1..=3).map(|byte| Pubkey([byte; 32])).collect();
        for mint in &mints {
            let leg = Leg {
                mint: *mint,
                raw: 5_000,
                decimals: Some(6),
            };
            oracle.observe(&leg, 1);
            oracle.observe(&leg, 2);
        }
        let named = oracle.take_unsure(2);
        assert_eq!(named.len(), 2);
        oracle.mark_unsure(named);
        let mut named = oracle.take_unsure(10);
        named.sort_unstable();
        assert_eq!(named, mints);
        assert!(oracle.take_unsure(10).is_empty());
    }
}
