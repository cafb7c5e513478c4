//! The value of a dollar: the stablecoins compared with each other, directly and through SOL.
//!
//! All are first expressed in USDC. Only USDC and USDT, in which far more is traded than in all
//! others, say what a dollar is: it is USDC, unless USDT is worth more of it both where the two are
//! traded for each other and where SOL is, with enough behind either. Of the two the dearer counts:
//! a stablecoin that breaks falls, since its issuer sells it for a dollar. A stablecoin with little
//! trade is worth its peg.

use perijove_core::Pubkey;
use perijove_core::market::{STABLES, USDC, WSOL};

use crate::oracle::Oracle;
use crate::oracle::anchor::{ALONE, pegged, raw_dollar};
use crate::oracle::clock::Now;
use crate::oracle::median::{Vote, median_and_spread, quantile};
use crate::oracle::pool::{PoolKey, seasoned};
use crate::oracle::pricing::{AGREE, PoolTotals, TOLD, usual_time};
use crate::oracle::token::{BAND, TokenPrice};

/// The peg has the weight of this many dollars seen to move in and out of pools that are believed;
/// below it a stablecoin says nothing about the dollar.
const PEG: f64 = 5_000.0;

/// USDT says nothing about the dollar with less than this share of what there is behind USDC.
const DEEP: f64 = 0.05;

/// How far off one may be that others confirm, at the least.
const CONFIRMED: f64 = 0.001;

/// Pools are as old as the process, at the beginning: their age counts in comparison with that, but
/// with no less than what is read from the database, in milliseconds.
const YOUNGEST: f64 = 120_000.0;

/// What a pool says of a stablecoin or of SOL.
struct StableQuote {
    key: PoolKey,
    via: Pubkey,
    /// Its price in USDC, by raw units.
    unit: f64,
    spread: f64,
    /// The funds behind it, as far as it is believed.
    weight: f64,
}

/// A stablecoin in USDC.
#[derive(Default)]
struct InUsdc {
    unit: f64,
    spread: f64,
    quotes: Vec<StableQuote>,
}

impl Oracle {
    /// Makes the worth of the stablecoins.
    pub(super) fn anchor(&mut self, now: Now) {
        let mut in_usdc = self.anchors.0;
        let mut coins: [InUsdc; STABLES.len()] = Default::default();
        let sol_quotes = self.stable_quotes(WSOL, &in_usdc, None, now);
        let sol_for = |coin: Option<Pubkey>| {
            let of = |quote: &&StableQuote| coin.is_none_or(|coin| quote.via == coin);
            let votes = sol_quotes.iter().filter(of);
            quantile(
                &mut votes.flat_map(StableQuote::votes).collect::<Vec<_>>(),
                0.5,
            )
        };
        let sol = sol_for(Some(USDC)).or_else(|| sol_for(None));
        // Those after the first two are compared with both.
        for (place, mint) in STABLES.into_iter().enumerate() {
            let quotes = self.stable_quotes(mint, &in_usdc, sol, now);
            let mut votes: Vec<Vote> = quotes.iter().flat_map(StableQuote::votes).collect();
            votes.push((self.peg(), PEG));
            let agreed = median_and_spread(&mut votes).filter(|_| place > 0);
            let (unit, spread) = agreed.unwrap_or_default();
            if let (Some(known), Some(coin)) = (in_usdc.get_mut(place), coins.get_mut(place)) {
                *known = unit;
                *coin = InUsdc {
                    unit,
                    spread,
                    quotes,
                };
            }
        }
        self.anchors.0 = in_usdc;
        let dollar = Self::dollar(&coins);
        let least = dollar.map_or(ALONE, |_| CONFIRMED);
        for (mint, coin) in STABLES.into_iter().zip(&coins) {
            let unit = coin.unit - dollar.unwrap_or(0.0);
            let uncertain = (coin.spread / 2.0).max(least);
            self.set_stable(mint, unit, uncertain, &coin.quotes, now);
        }
        self.judge_stables(&coins);
    }

    /// A dollar in USDC, if USDC and USDT confirm each other.
    fn dollar(coins: &[InUsdc]) -> Option<f64> {
        let [usdc, usdt, ..] = coins else {
            return None;
        };
        let whole: f64 = usdc.quotes.iter().map(|quote| quote.weight).sum();
        let route = |by_sol: bool| {
            let quotes = usdt.quotes.iter();
            let quotes = quotes.filter(|quote| (quote.via == WSOL) == by_sol);
            let mut votes: Vec<Vote> = quotes
                .filter(|quote| quote.via == WSOL || quote.via == USDC)
                .flat_map(StableQuote::votes)
                .collect();
            let weight: f64 = votes.iter().map(|vote| vote.1).sum();
            let unit = quantile(&mut votes, 0.5)?;
            (weight >= PEG.max(DEEP * whole)).then_some(unit)
        };
        let (direct, by_sol) = (route(false)?, route(true)?);
        Some(direct.min(by_sol).min(usdt.unit).max(0.0))
    }

    /// What the peg of a stablecoin is in USDC: what the others hold a dollar for.
    fn peg(&self) -> f64 {
        let usdc = self.tokens.get(&USDC).and_then(|token| token.value);
        // Without a past, a dollar is a USDC.
        usdc.map_or(0.0, |usdc| -(usdc.unit + raw_dollar()))
    }

    /// What the pools of SOL or of a stablecoin say it costs in USDC, by raw units.
    fn stable_quotes(
        &self,
        mint: Pubkey,
        in_usdc: &[f64],
        sol: Option<f64>,
        now: Now,
    ) -> Vec<StableQuote> {
        let Some(token) = self.tokens.get(&mint) else {
            return Vec::new();
        };
        let weighed = self.weigh(token.pools.iter(), now);
        let quotes = weighed.iter().filter_map(|weighed| {
            let via = weighed.key.other(mint);
            let money = if via == WSOL {
                sol
            } else {
                let place = STABLES.iter().position(|stable| *stable == via)?;
                in_usdc.get(place).copied()
            };
            let price = weighed.pool.price()?;
            let left_to_right = weighed.key.left == mint;
            let trust = weighed.trust / seasoned(now.active.max(YOUNGEST));
            Some(StableQuote {
                key: weighed.key,
                via,
                unit: if left_to_right { price.ln } else { -price.ln } + money?,
                spread: price.spread,
                weight: weighed.evidence() * trust.min(1.0),
            })
        });
        quotes.collect()
    }

    fn set_stable(
        &mut self,
        mint: Pubkey,
        target: f64,
        uncertain: f64,
        quotes: &[StableQuote],
        now: Now,
    ) {
        let (seen, since) = self.stable_totals(quotes, now);
        let Some(token) = self.tokens.get_mut(&mint) else {
            return;
        };
        let target = target - raw_dollar();
        let known = token.value.unwrap_or_else(|| pegged(mint));
        let band = BAND * seen.steps(known.slot);
        let unit = target.clamp(known.unit - band, known.unit + band);
        // Traded for nothing that says what it is worth: its peg is as new as its trades.
        let newest = token.newest.filter(|_| seen.slot == 0);
        let (slot, time) =
            newest.map_or((seen.slot, seen.time), |newest| (newest.slot, newest.time));
        token.value = Some(TokenPrice {
            unit,
            uncertain: uncertain.max((target - unit).abs()),
            slot,
            time,
            since: since.unwrap_or(time),
            trades: seen.trades,
            usd: seen.usd,
            pools: seen.pools,
            evidence: 0.0,
            capital: 0.0,
            held: true,
            via: mint,
            via_unit: unit,
        });
    }

    /// What was traded in the pools that count, and how old that is.
    fn stable_totals(&self, quotes: &[StableQuote], now: Now) -> (PoolTotals, Option<i64>) {
        let whole: f64 = quotes.iter().map(|quote| quote.weight).sum();
        let mut all = PoolTotals::default();
        let mut times = Vec::with_capacity(quotes.len());
        for quote in quotes.iter().filter(|quote| quote.weight >= TOLD * whole) {
            let pool = self.pools.get(&quote.key);
            let Some((pool, newest)) = pool.and_then(|pool| Some((pool, pool.newest()?))) else {
                continue;
            };
            let sums = pool.window().sums(now.active);
            let usd = sums.usd.min(pool.capital(now));
            all.add((sums.trades, usd), (newest.slot, newest.time));
            all.fresh = all.fresh.max(pool.fresh());
            times.push((newest.time, quote.weight));
        }
        (all, usual_time(times.into_iter()))
    }

    /// Notes which pools of two stablecoins agree. Those with SOL are judged by its price.
    fn judge_stables(&mut self, coins: &[InUsdc]) {
        for coin in coins.iter().skip(1) {
            let close = (3.0 * coin.spread).max(AGREE);
            for quote in coin.quotes.iter().filter(|quote| quote.via != WSOL) {
                if let Some(pool) = self.pools.get_mut(&quote.key) {
                    pool.judge((quote.unit - coin.unit).abs() <= close);
                }
            }
        }
    }
}

impl StableQuote {
    /// It votes for its price and for both ends of its spread.
    fn votes(&self) -> [Vote; 3] {
        [-0.5, 0.0, 0.5].map(|share| (self.unit + share * self.spread, self.weight / 3.0))
    }
}
