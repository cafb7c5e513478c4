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
    /// trades say of them may be [learned](Self::learn_decimals). Each is named once.
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
