//! A stream of made-up trades into an oracle.

use perijove_core::market::{Position, USDC, USDT, WSOL};
use perijove_core::{Pubkey, Slot};
use perijove_ingest::oracle::{Estimate, Leg, MOST_UNCERTAIN, Observation, Oracle};

pub const START: i64 = 1_763_741_000_000;
pub const SLOT: u64 = 380_000_000;

/// A slot in milliseconds.
pub const SLOT_TIME: i64 = 400;

pub const A: Pubkey = Pubkey([0xA0; 32]);
pub const B: Pubkey = Pubkey([0xB0; 32]);

pub struct Scene {
    pub oracle: Oracle,
    pub slot: u64,
    pub now: i64,
    /// How far our clock is behind that of the stream, in milliseconds.
    pub behind: i64,
    transaction: u32,
}

/// An address for a number.
pub fn address(number: u64) -> Pubkey {
    let mut bytes = [0x11; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    // Spread, as real addresses are.
    bytes[8..16].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    Pubkey(bytes)
}

pub fn decimals(mint: Pubkey) -> u8 {
    if mint == WSOL { 9 } else { 6 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount"
)]
pub fn raw(mint: Pubkey, tokens: f64) -> u64 {
    (tokens * 10_f64.powi(decimals(mint).into())).round() as u64
}

pub fn leg(mint: Pubkey, raw: u64) -> Leg {
    Leg {
        mint,
        raw,
        decimals: Some(decimals(mint)),
    }
}

impl Scene {
    /// Nothing is known yet.
    pub fn empty() -> Self {
        Self {
            oracle: Oracle::default(),
            slot: SLOT,
            now: START,
            behind: 0,
            transaction: 0,
        }
    }

    /// After an honest minute: SOL at 150 dollars, USDT at one, A at 2 USDC, B at 0.015 SOL.
    pub fn honest() -> Self {
        let mut scene = Self::empty();
        for round in 0..150 {
            scene.honest_slot(round, 1.0);
        }
        scene.take();
        scene
    }

    /// One slot of honest trades, with prices of tokens times so much.
    pub fn honest_slot(&mut self, round: u64, times: f64) {
        let size = |number: u64| 300.0 + 37.0 * ((round * 7 + number) % 11) as f64;
        let buy = |number: u64| (round + number) % 3 != 0;
        self.swap(address(1), WSOL, USDC, size(1) / 150.0, 150.0, buy(1));
        self.swap(address(2), WSOL, USDT, size(2) / 150.0, 150.0, buy(2));
        self.swap(address(3), USDT, USDC, size(3), 1.0, buy(3));
        self.swap(address(4), A, USDC, size(4) / 2.0, 2.0 * times, buy(4));
        self.swap(address(5), B, WSOL, size(5) / 2.25, 0.015 * times, buy(5));
        self.next_slot();
    }

    pub fn next_slot(&mut self) {
        self.slot += 1;
        self.now += SLOT_TIME;
        self.transaction = 0;
        self.take();
    }

    /// So much of the base at a price.
    pub fn swap(
        &mut self,
        pool: Pubkey,
        base: Pubkey,
        quote: Pubkey,
        amount: f64,
        price: f64,
        buy: bool,
    ) {
        let trade = self.observation(pool, base, quote, amount, price, buy);
        self.oracle.add(&trade, self.now - self.behind);
    }

    /// A slot's trade of somebody with himself in a pool of his own who has so many dollars and
    /// makes the most of them: he turns all of them over in each slot, and every so often has them
    /// on the other side.
    pub fn wash(&mut self, pool: Pubkey, (base, quote): (Pubkey, Pubkey), usd: f64, price: f64) {
        let (span, place) = (self.slot / 32, self.slot % 32);
        if place > 0 {
            let buy = (span + place) % 2 == 0;
            let worth = if quote == WSOL { 150.0 } else { 1.0 };
            self.swap(pool, base, quote, usd / worth / price, price, buy);
        }
    }

    pub fn trade(&mut self, pool: Pubkey, base: Leg, quote: Leg, buy: bool) {
        let trade = self.made(pool, (base, quote), buy);
        self.oracle.add(&trade, self.now - self.behind);
    }

    /// The same without adding it.
    pub fn observation(
        &mut self,
        pool: Pubkey,
        base: Pubkey,
        quote: Pubkey,
        amount: f64,
        price: f64,
        buy: bool,
    ) -> Observation {
        let legs = (
            leg(base, raw(base, amount)),
            leg(quote, raw(quote, amount * price)),
        );
        self.made(pool, legs, buy)
    }

    fn made(&mut self, pool: Pubkey, (base, quote): (Leg, Leg), buy: bool) -> Observation {
        self.transaction += 1;
        Observation {
            position: Position {
                slot: Slot(self.slot),
                transaction: self.transaction,
                instruction: 0,
                ordinal: 0,
            },
            time: self.now,
            pool,
            base,
            quote,
            base_bought: buy,
        }
    }

    pub fn take(&mut self) {
        self.oracle.estimates();
    }

    /// What is told of a token, if anybody should use it.
    pub fn estimate(&mut self, mint: Pubkey) -> Option<Estimate> {
        self.take();
        let estimate = self.oracle.estimate_of(mint);
        estimate.filter(|estimate| estimate.uncertain < MOST_UNCERTAIN)
    }

    pub fn price(&mut self, mint: Pubkey) -> f64 {
        let told = self.estimate(mint);
        let told = told
            .unwrap_or_else(|| panic!("no price of {mint}: {:?}", self.oracle.estimate_of(mint)));
        told.usd
    }

    /// The honest prices stand, to within a percent.
    pub fn assert_honest(&mut self, what: &str) {
        self.assert_within(0.01, what);
    }

    pub fn assert_within(&mut self, share: f64, what: &str) {
        for (mint, expected) in [(WSOL, 150.0), (USDC, 1.0), (USDT, 1.0), (A, 2.0), (B, 2.25)] {
            let price = self.price(mint);
            assert!(
                (price / expected - 1.0).abs() <= share,
                "{what}: {mint} at {price} instead of {expected}"
            );
        }
    }
}
