//! The value of a dollar: the stablecoins compared with each other, directly and through SOL.
//!
//! All are first expressed in USDC. The dollar is then the median of those that are traded enough,
//! and of two the dearer: a stablecoin that breaks falls, since its issuer sells it for a dollar. A
//! stablecoin with little trade is worth its peg.

use perijove_core::Pubkey;
use perijove_core::market::{STABLES, USDC, WSOL};

use crate::oracle::Oracle;
use crate::oracle::anchor::{ALONE, pegged, raw_dollar};
use crate::oracle::median::{Vote, median_and_spread, quantile};
use crate::oracle::token::{BAND, TokenPrice};

/// The peg has the weight of this many dollars seen to move in and out of pools; below it a
/// stablecoin says nothing about the dollar.
const PEG: f64 = 5_000.0;

/// How far off one may be that others confirm, at the least.
const CONFIRMED: f64 = 0.001;

impl Oracle {
    /// Makes the worth of the stablecoins.
    pub(super) fn anchor(&mut self, active: f64) {
        let mut in_usdc = self.anchors.0;
        let (mut spreads, mut weights) = ([0.0; STABLES.len()], [0.0; STABLES.len()]);
        // What SOL costs depends on them, and they on what SOL costs.
        for _ in 0..2 {
            let sol = self.sol_in_usdc(&in_usdc, active);
            for place in 1..STABLES.len() {
                let (Some(mint), Some(peg)) = (STABLES.get(place), self.peg(place, &in_usdc))
                else {
                    continue;
                };
                let mut votes = self.votes(*mint, &in_usdc, sol, active);
                let weight: f64 = votes.iter().map(|vote| vote.1).sum();
                votes.push((peg, PEG));
                let Some((unit, spread)) = median_and_spread(&mut votes) else {
                    continue;
                };
                set(&mut in_usdc, place, unit);
                set(&mut spreads, place, spread);
                set(&mut weights, place, weight);
            }
        }
        self.anchors.0 = in_usdc;
        let mut confirmed: Vec<f64> = in_usdc
            .iter()
            .zip(weights)
            .filter(|(_, weight)| *weight >= PEG)
            .map(|(unit, _)| *unit)
            .collect();
        // USDC is the one that all were told in.
        confirmed.push(0.0);
        confirmed.sort_unstable_by(f64::total_cmp);
        let dollar = confirmed.get(confirmed.len() / 2).copied().unwrap_or(0.0);
        let least = if confirmed.len() > 1 {
            CONFIRMED
        } else {
            ALONE
        };
        for (place, mint) in STABLES.into_iter().enumerate() {
            let unit = in_usdc.get(place).copied().unwrap_or(0.0) - dollar;
            let spread = spreads.get(place).copied().unwrap_or(0.0);
            self.set_stable(mint, unit, (spread / 2.0).max(least), active);
        }
    }

    /// What the peg of a stablecoin is in USDC: what the others hold a dollar for.
    fn peg(&self, place: usize, in_usdc: &[f64]) -> Option<f64> {
        let usdc = self.tokens.get(&USDC)?.value?;
        // Without a past, a dollar is a USDC.
        in_usdc.get(place)?;
        Some(-(usdc.unit + raw_dollar()))
    }

    fn sol_in_usdc(&self, in_usdc: &[f64], active: f64) -> Option<f64> {
        let mut votes = self.votes(WSOL, in_usdc, None, active);
        quantile(&mut votes, 0.5)
    }

    /// What the pools of SOL or of a stablecoin say it costs in USDC, by raw units.
    fn votes(&self, mint: Pubkey, in_usdc: &[f64], sol: Option<f64>, active: f64) -> Vec<Vote> {
        let Some(token) = self.tokens.get(&mint) else {
            return Vec::new();
        };
        let (mut capital, mut weights) = (0.0, 0.0);
        let mut votes: Vec<Vote> = Vec::with_capacity(3 * token.pools.len());
        let pools = token.pools.iter().filter_map(|key| {
            let pool = self.pools.get(key)?;
            let (via, left_to_right) = if key.left == mint {
                (key.right, true)
            } else {
                (key.left, false)
            };
            let money = if via == WSOL {
                sol
            } else {
                let place = STABLES.iter().position(|stable| *stable == via)?;
                in_usdc.get(place).copied()
            };
            let price = pool.price()?;
            let unit = if left_to_right { price.ln } else { -price.ln } + money?;
            Some((pool, unit, price.spread))
        });
        for (pool, unit, spread) in pools {
            let weight = pool.weight(active);
            capital += pool.evidence(active);
            weights += weight;
            votes.extend([-0.5, 0.0, 0.5].map(|share| (unit + share * spread, weight / 3.0)));
        }
        // Which pools are believed is one thing, how much lies in all of them another.
        let scale = if weights > 0.0 {
            capital / weights
        } else {
            0.0
        };
        for vote in &mut votes {
            vote.1 *= scale;
        }
        votes
    }

    fn set_stable(&mut self, mint: Pubkey, target: f64, uncertain: f64, active: f64) {
        let Some(token) = self.tokens.get_mut(&mint) else {
            return;
        };
        let target = target - raw_dollar();
        let (slot, time) = token
            .newest
            .map_or((0, i64::MIN), |seen| (seen.slot, seen.time));
        let known = token.value.unwrap_or_else(|| pegged(mint));
        let passed = u32::try_from(slot.saturating_sub(known.slot)).unwrap_or(u32::MAX);
        let band = BAND * f64::from(passed.min(64));
        let unit = target.clamp(known.unit - band, known.unit + band);
        let sums = token.window.sums(active);
        token.value = Some(TokenPrice {
            unit,
            uncertain: uncertain.max((target - unit).abs()),
            slot,
            time,
            since: time,
            trades: sums.trades,
            usd: sums.usd,
            pools: token.pools.len(),
            via: mint,
            via_unit: unit,
        });
    }
}

fn set(numbers: &mut [f64], place: usize, number: f64) {
    if let Some(there) = numbers.get_mut(place) {
        *there = number;
    }
}
