//! The market: constant-product pools whose reserves change with the trades of each slot. What a
//! pool holds at a slot follows from the pool and the slot the market opened with, so that a test
//! can compute what any quote must be.

use parking_lot::Mutex;

use super::tokens::{self, SOL, Token, USDC};
use crate::sandbox::chain::mix;

/// Hundredths of a percent in one.
pub const BPS: u128 = 10_000;

/// How often the pools of a kind trade: every slot, every third, tenth, sixtieth one on average, and
/// never.
const PACES: [u64; 5] = [1, 3, 10, 60, u64::MAX];

/// A dex: its label, its program, its fee in hundredths of a percent.
pub const DEXES: [(&str, &str, u64); 4] = [
    (
        "Raydium",
        "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
        25,
    ),
    (
        "Whirlpool",
        "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
        30,
    ),
    (
        "Meteora DLMM",
        "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo",
        20,
    ),
    (
        "Orca V2",
        "9W959DqEETiGZocYWCQPaJ6sBmUzgfxXfqGeTEdp3aQP",
        30,
    ),
];

/// A pool of two tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    pub address: String,
    /// Its place in [`DEXES`].
    pub dex: usize,
    pub mints: [String; 2],
    /// It trades in about one of so many slots.
    pub pace: u64,
    opening: [u128; 2],
}

impl Pool {
    /// Its fee, in hundredths of a percent.
    pub fn fee_bps(&self) -> u128 {
        DEXES
            .get(self.dex)
            .map_or(0, |(_, _, fee)| u128::from(*fee))
    }

    /// What its dex is called.
    pub fn label(&self) -> &'static str {
        DEXES.get(self.dex).map_or("", |(label, _, _)| label)
    }

    /// The reserves after a slot's trade; `None` if the slot has no trade.
    fn trade(&self, number: u64, slot: u64, [left, right]: [u128; 2]) -> Option<[u128; 2]> {
        let luck = mix(mix(number.wrapping_add(1)) ^ slot);
        if !luck.is_multiple_of(self.pace) {
            return None;
        }
        // Up to half a percent of the reserves, and back where the price has gone too far.
        let part = u128::from(1 + (luck >> 8) % 50);
        let [opened_left, opened_right] = self.opening;
        let up = if left * 100 > opened_left * 110 {
            false
        } else if right * 100 > opened_right * 110 {
            true
        } else {
            (luck >> 40) & 1 == 0
        };
        let (into, from) = if up { (left, right) } else { (right, left) };
        let given = (into * part / BPS).max(1);
        let taken = out_of(given, into, from, self.fee_bps());
        let (into, from) = (into + given, from - taken);
        Some(if up { [into, from] } else { [from, into] })
    }
}

/// What a pool gives for an input.
pub fn out_of(given: u128, into: u128, from: u128, fee_bps: u128) -> u128 {
    let counted = given * (BPS - fee_bps);
    counted * from / (into * BPS + counted)
}

/// What a pool wants for an output; `None` if it has not that much.
pub fn into_for(taken: u128, into: u128, from: u128, fee_bps: u128) -> Option<u128> {
    let left = from.checked_sub(taken).filter(|left| *left > 0)?;
    let most = into * taken * BPS;
    Some(most.div_ceil(left * (BPS - fee_bps)))
}

/// What a pool holds from a slot on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The slot of the trade that made it so; that of the opening before any.
    pub since: u64,
    pub reserves: [u128; 2],
}

/// All pools, and what they held at every slot since the market was first looked at.
#[derive(Debug)]
pub struct Market {
    tokens: Vec<Token>,
    pools: Vec<Pool>,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    /// The slot of the opening and the newest slot that was traded.
    opened: Option<u64>,
    traded: u64,
    /// For each pool, what it held, oldest first.
    holdings: Vec<Vec<Holding>>,
}

impl Default for Market {
    fn default() -> Self {
        Self::new()
    }
}

impl Market {
    /// A market that opens at the slot it is first asked about.
    pub fn new() -> Self {
        let tokens = tokens::all();
        let pools = pools(&tokens);
        Self {
            tokens,
            pools,
            history: Mutex::default(),
        }
    }

    /// The tokens.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The token of this mint.
    pub fn token(&self, mint: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.mint == mint)
    }

    /// The pools.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// What the pool with this number held at the end of a slot.
    pub fn holding(&self, number: usize, slot: u64) -> Option<Holding> {
        let mut history = self.history.lock();
        history.catch_up(&self.pools, slot);
        let held = history.holdings.get(number)?;
        let after = held.partition_point(|one| one.since <= slot);
        held.get(after.saturating_sub(1)).copied()
    }

    /// The numbers of the pools that traded in a slot.
    pub fn traded_in(&self, slot: u64) -> Vec<usize> {
        let mut history = self.history.lock();
        history.catch_up(&self.pools, slot);
        let traded = |held: &[Holding]| {
            let found = held.binary_search_by_key(&slot, |one| one.since);
            // The opening is no trade.
            found.is_ok_and(|at| at > 0)
        };
        (0..)
            .zip(&history.holdings)
            .filter(|(_, held)| traded(held))
            .map(|(number, _)| number)
            .collect()
    }

    /// The slot of the last trade of the pool with this address, up to a slot; `None` if it had none
    /// or is no pool.
    pub fn last_trade(&self, address: &str, slot: u64) -> Option<u64> {
        let number = self.pools.iter().position(|pool| pool.address == address)?;
        let since = self.holding(number, slot)?.since;
        (Some(since) > self.history.lock().opened).then_some(since)
    }
}

impl History {
    fn catch_up(&mut self, pools: &[Pool], slot: u64) {
        if self.opened.is_none() {
            self.opened = Some(slot);
            self.traded = slot;
            self.holdings = pools
                .iter()
                .map(|pool| {
                    vec![Holding {
                        since: slot,
                        reserves: pool.opening,
                    }]
                })
                .collect();
        }
        while self.traded < slot {
            self.traded += 1;
            for ((number, pool), held) in (0..).zip(pools).zip(&mut self.holdings) {
                let Some(last) = held.last() else { continue };
                if let Some(reserves) = pool.trade(number, self.traded, last.reserves) {
                    held.push(Holding {
                        since: self.traded,
                        reserves,
                    });
                }
            }
        }
    }
}

/// Every token against USDC and against SOL, some on several dexes; the first two on all of them.
fn pools(tokens: &[Token]) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    let mut open = |left: &Token, right: &Token, dex: usize, dollars: u64| {
        let number = pools.len() as u64;
        let pace = PACES
            .get(usize::try_from(number % PACES.len() as u64).unwrap_or(0))
            .copied()
            .unwrap_or(1);
        pools.push(Pool {
            address: crate::sandbox::accounts::made_up(80_000 + number),
            dex,
            mints: [left.mint.clone(), right.mint.clone()],
            pace,
            opening: [left.units(dollars), right.units(dollars)],
        });
    };
    let named = |mint: &str| tokens.iter().find(|token| token.mint == mint);
    let (Some(sol), Some(usdc)) = (named(SOL), named(USDC)) else {
        return Vec::new();
    };
    for dex in 0..DEXES.len() {
        open(sol, usdc, dex, 4_000_000 >> dex);
    }
    for (number, token) in tokens.iter().enumerate() {
        if token == sol || token == usdc {
            continue;
        }
        open(token, usdc, number % DEXES.len(), 500_000);
        open(token, sol, (number + 1) % DEXES.len(), 400_000);
        if number % 2 == 0 {
            open(token, usdc, (number + 2) % DEXES.len(), 300_000);
        }
    }
    pools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_slot_is_the_same_market_and_reserves_never_lose_to_traders() {
        let (once, again) = (Market::new(), Market::new());
        for market in [&once, &again] {
            market.holding(0, 1_000);
        }
        let late: Vec<_> = (0..once.pools.len())
            .map(|n| again.holding(n, 3_000))
            .collect();
        for (number, held) in late.iter().enumerate() {
            for slot in (1_000..=3_000).step_by(250) {
                assert_eq!(once.holding(number, slot), again.holding(number, slot));
            }
            let [left, right] = held.unwrap().reserves;
            let [opened_left, opened_right] = once.pools[number].opening;
            assert!(left * right >= opened_left * opened_right);
            assert!(left * 100 < opened_left * 112 && right * 100 < opened_right * 112);
        }
    }

    #[test]
    fn pools_trade_at_their_own_pace_and_the_market_knows_when() {
        let market = Market::new();
        market.holding(0, 1_000);
        let mut counts = vec![0_u64; market.pools.len()];
        for slot in 1_001..=2_200 {
            for number in market.traded_in(slot) {
                counts[number] += 1;
                let pool = &market.pools[number];
                assert_eq!(market.last_trade(&pool.address, slot), Some(slot));
            }
        }
        for (pool, count) in market.pools.iter().zip(counts) {
            let expected = 1_200 / pool.pace;
            assert!(
                count <= 2 * expected && 2 * count >= expected,
                "{pool:?}: {count}"
            );
            if pool.pace == u64::MAX {
                assert_eq!(market.last_trade(&pool.address, 2_200), None);
            }
        }
        assert!(market.traded_in(1_000).is_empty());
    }

    #[test]
    fn what_goes_in_for_an_output_brings_at_least_that_output() {
        for taken in [1, 7, 1_000, 999_999, 5_000_000] {
            let given = into_for(taken, 10_000_000, 9_000_000, 25).unwrap();
            assert!(out_of(given, 10_000_000, 9_000_000, 25) >= taken);
            assert!(out_of(given - 1, 10_000_000, 9_000_000, 25) <= taken);
        }
        assert_eq!(into_for(9_000_000, 10_000_000, 9_000_000, 25), None);
    }
}
