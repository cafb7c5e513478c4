//! What tokens cost in dollars, from what they were traded for at last.
//!
//! A dollar is what one USDC costs. A token that was traded for USDC costs what was paid; one that
//! was traded for USDT or SOL costs what was paid times what one of those costs by the same rule.
//! Where that is not known, the stream's own word for the token counts, if it has one.

use std::collections::HashMap;

use crate::market::MONEY;
use crate::redis::market::Latest;
use crate::{Pubkey, Slot};

/// The last trades of tokens, as far as they count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trades(HashMap<Pubkey, Latest>);

/// What a token costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Priced {
    /// Positive and finite.
    pub dollars: f64,
    /// The slot of its last trade.
    pub slot: Slot,
    pub decimals: u8,
    /// The time of the oldest trade it follows from, in milliseconds since 1970.
    pub since: i64,
}

impl FromIterator<(Pubkey, Latest)> for Trades {
    fn from_iter<I: IntoIterator<Item = (Pubkey, Latest)>>(trades: I) -> Self {
        Self(trades.into_iter().collect())
    }
}

impl Trades {
    /// Whether there is a trade of this token.
    pub fn has(&self, token: Pubkey) -> bool {
        self.0.contains_key(&token)
    }

    /// What a token costs; `None` for one without a trade, one whose dollars nobody knows, and
    /// [`MONEY`]'s first, which is the measure.
    pub fn price(&self, token: Pubkey) -> Option<Priced> {
        let trade = self.0.get(&token)?;
        let (dollars, since) = self.worth(token, trade)?;
        Some(Priced {
            dollars,
            slot: trade.position.slot,
            decimals: trade.decimals,
            since,
        })
    }

    /// What a token costs in dollars, and since when that is known.
    fn worth(&self, token: Pubkey, trade: &Latest) -> Option<(f64, i64)> {
        let place = rank(token);
        if place == 0 {
            return None;
        }
        let by_trade = match rank(trade.quote) {
            0 => Some((trade.price.to_f64(), trade.time)),
            // Every step leads to a money that comes earlier, so there are few.
            paid if paid < place => self.0.get(&trade.quote).and_then(|quote| {
                let (unit, since) = self.worth(trade.quote, quote)?;
                Some((trade.price.to_f64() * unit, trade.time.min(since)))
            }),
            _ => None,
        };
        by_trade
            .or_else(|| Some((as_written(trade.usd?)?, trade.time)))
            .filter(|(dollars, _)| dollars.is_normal() && *dollars > 0.0)
    }
}

/// The place of a token among [`MONEY`]; others come after all of it.
fn rank(token: Pubkey) -> usize {
    let place = MONEY.iter().position(|money| *money == token);
    place.unwrap_or(MONEY.len())
}

/// The double that is written with the same digits.
fn as_written(usd: f32) -> Option<f64> {
    usd.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Signature;
    use crate::market::{Amount, Position, Price, USDC, USDT, WSOL};

    /// A trade at this price: plain digits, at most nine of them behind the point.
    fn trade(price: &str, quote: Pubkey) -> Latest {
        let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
        let amount = |raw: &str| Amount {
            raw: raw.parse().unwrap(),
            decimals: Some(9),
        };
        let paid = format!("{whole}{fraction:0<9}");
        Latest {
            position: Position {
                slot: Slot(1_000),
                transaction: 0,
                instruction: 0,
                ordinal: 0,
            },
            signature: Signature([1; 64]),
            time: 1_763_741_000_000,
            price: Price::ratio(amount(&paid), amount("1000000000")).unwrap(),
            quote,
            pool: Pubkey([9; 32]),
            decimals: 6,
            usd: None,
        }
    }

    const TOKEN: Pubkey = Pubkey([7; 32]);
    const OTHER: Pubkey = Pubkey([8; 32]);

    fn trades<const N: usize>(trades: [(Pubkey, Latest); N]) -> Trades {
        trades.into_iter().collect()
    }

    fn dollars(trades: &Trades, token: Pubkey) -> Option<f64> {
        trades.price(token).map(|price| price.dollars)
    }

    #[test]
    fn a_token_costs_what_was_paid_for_it() {
        let sol = (WSOL, trade("150", USDC));
        let tether = (USDT, trade("0.5", USDC));
        for (known, expected) in [
            (vec![(TOKEN, trade("0.25", USDC))], Some(0.25)),
            (vec![(TOKEN, trade("2", WSOL)), sol], Some(300.0)),
            (vec![(TOKEN, trade("2", USDT)), tether], Some(1.0)),
            (
                vec![
                    (TOKEN, trade("2", WSOL)),
                    (WSOL, trade("150", USDT)),
                    tether,
                ],
                Some(150.0),
            ),
            // Nobody says what was paid is worth.
            (vec![(TOKEN, trade("2", WSOL))], None),
            (
                vec![(TOKEN, trade("2", WSOL)), (WSOL, trade("150", USDT))],
                None,
            ),
            (
                vec![(TOKEN, trade("2", OTHER)), (OTHER, trade("1", USDC))],
                None,
            ),
            (vec![sol, tether], None),
            (Vec::new(), None),
        ] {
            let trades: Trades = known.iter().copied().collect();
            assert_eq!(dollars(&trades, TOKEN), expected, "{known:?}");
        }
    }

    #[test]
    fn the_streams_word_counts_where_nothing_better_is_known() {
        let said = |price: &str, quote, usd| Latest {
            usd: Some(usd),
            ..trade(price, quote)
        };
        let alone = trades([(TOKEN, said("2", WSOL, 299.9))]);
        assert_eq!(dollars(&alone, TOKEN), Some(299.9));
        let both = trades([(TOKEN, said("2", WSOL, 299.9)), (WSOL, trade("150", USDC))]);
        assert_eq!(dollars(&both, TOKEN), Some(300.0));
        // The same for what was paid.
        let paid = trades([(TOKEN, trade("2", WSOL)), (WSOL, said("9", OTHER, 149.5))]);
        assert_eq!(dollars(&paid, TOKEN), Some(299.0));
        assert_eq!(
            dollars(&trades([(TOKEN, said("2", OTHER, 0.1))]), TOKEN),
            Some(0.1)
        );
        for nonsense in [f32::NAN, f32::INFINITY, 0.0, -1.0, 1e-45] {
            let trades = trades([(TOKEN, said("2", OTHER, nonsense))]);
            let price = dollars(&trades, TOKEN);
            assert!(
                price.is_none_or(|price| price > 0.0),
                "{nonsense}: {price:?}"
            );
        }
    }

    #[test]
    fn the_measure_has_no_price_and_nothing_leads_in_circles() {
        assert_eq!(dollars(&trades([(USDC, trade("1", USDT))]), USDC), None);
        let circle = trades([(USDT, trade("1", WSOL)), (WSOL, trade("1", USDT))]);
        assert_eq!(dollars(&circle, USDT), None);
        assert_eq!(dollars(&circle, WSOL), None);
        assert_eq!(dollars(&trades([(TOKEN, trade("1", TOKEN))]), TOKEN), None);
    }

    #[test]
    fn a_price_is_as_old_as_the_oldest_trade_it_follows_from() {
        let at = |time, trade| Latest { time, ..trade };
        let trades = trades([
            (TOKEN, at(3_000, trade("2", WSOL))),
            (OTHER, at(1_000, trade("2", WSOL))),
            (WSOL, at(2_000, trade("150", USDC))),
        ]);
        let since = |token| trades.price(token).unwrap().since;
        assert_eq!(
            (since(TOKEN), since(OTHER), since(WSOL)),
            (2_000, 1_000, 2_000)
        );
    }

    proptest! {
        #[test]
        fn every_price_that_is_told_is_a_positive_number(
            mantissas in prop::array::uniform3(1_u64..), exponents in prop::array::uniform3(-300_i16..=300),
            quotes in prop::array::uniform3(0_usize..5), usd in any::<u32>(),
        ) {
            let tokens = [USDC, USDT, WSOL, TOKEN, OTHER];
            let known = [TOKEN, WSOL, USDT].into_iter().enumerate().map(|(place, token)| {
                let price = Price::from_parts(mantissas[place], exponents[place]);
                let usd = Some(f32::from_bits(usd));
                (token, Latest { price: price.unwrap(), usd, ..trade("1", tokens[quotes[place]]) })
            });
            let trades: Trades = known.collect();
            for token in tokens {
                if let Some(price) = trades.price(token) {
                    prop_assert!(price.dollars.is_finite() && price.dollars > 0.0);
                }
            }
        }
    }
}
