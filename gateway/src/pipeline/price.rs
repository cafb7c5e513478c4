//! Prices of tokens in the shape of Jupiter's price API, from the trades that ingest has put into
//! Redis. No upstream is asked: what is not known is left out of the answer.

mod metrics;

use std::time::Duration;

use perijove_core::Pubkey;
use perijove_core::market::MONEY;
use perijove_core::redis::{Latest, Priced, Trades};
use tokio::time::Instant;

pub(super) use self::metrics::PriceMetrics;
use self::metrics::Told;
use super::Pipeline;
use super::cache_use::CacheStatus;
use super::response::{Body, Provenance, Response, Source, Summary};
use crate::cache::Lookup;
use crate::dispatch::Trace;
use crate::error::Rejection;
use crate::jupiter::{self, Freshness};
use crate::snapshot::Snapshot;

/// The method in logs, and the product in metrics.
const PRICE: &str = "price";

/// The outcome of a request that Redis has answered, whatever it knew.
const OK: &str = "ok";

/// The outcome of one that it has not.
const UNAVAILABLE: &str = "unavailable";

/// How the look for one token ended.
type Found = Result<Latest, Lookup>;

impl Pipeline {
    /// Answers `GET /price/v3?ids=…`.
    ///
    /// # Errors
    /// Prices are not served, or the query names no tokens. That Redis does not answer is no error:
    /// then nothing is known.
    pub async fn prices(
        &self,
        snapshot: &Snapshot,
        query: Option<&str>,
        started: Instant,
    ) -> Result<Response, Rejection> {
        let metrics = &self.metrics.prices;
        if !snapshot.config.price.enabled {
            let rejection = Rejection::NotServed {
                product: "/price/v3",
            };
            metrics.refused(&rejection);
            return Err(rejection);
        }
        let ids = jupiter::ids(query).map_err(Rejection::from);
        let ids = ids.inspect_err(|rejection| metrics.refused(rejection))?;
        let tokens = with_money(&ids);
        let found = self.latest(&tokens).await;
        let answer = Answer::of(&ids, &tokens, &found, &self.freshness(snapshot));
        answer.told.iter().for_each(|told| metrics.told(*told));
        let response = answer.into_response(ids.len());
        metrics.answered(response.summary.outcome, started.elapsed());
        if response.summary.cache.is_some() {
            self.cache.metrics.price_told();
        }
        Ok(response)
    }

    /// The last trades of tokens, in their order.
    async fn latest(&self, tokens: &[Pubkey]) -> Vec<Found> {
        match self.cache.remote() {
            Some(remote) => remote.latest(tokens).await,
            None => vec![Err(Lookup::Error); tokens.len()],
        }
    }

    fn freshness(&self, snapshot: &Snapshot) -> Freshness {
        let settings = &snapshot.config.price;
        Freshness {
            max_age: settings.max_age,
            max_slots: settings.max_slots,
            now: self.cache.unix_now(),
            tip: snapshot.pool.slots().map(|view| view.now),
        }
    }
}

/// The tokens, and those that they may have been traded for.
fn with_money(ids: &[Pubkey]) -> Vec<Pubkey> {
    let mut tokens = ids.to_vec();
    tokens.extend(MONEY.iter().skip(1).filter(|money| !ids.contains(money)));
    tokens
}

/// What came of a request.
struct Answer {
    prices: Vec<(Pubkey, Priced)>,
    /// For each token that was asked for.
    told: Vec<Told>,
    source: Source,
    /// Of the oldest trade that was made use of.
    age: Option<Duration>,
}

impl Answer {
    /// `found` is what was found of `tokens`, which begin with `ids`.
    fn of(ids: &[Pubkey], tokens: &[Pubkey], found: &[Found], freshness: &Freshness) -> Self {
        let known = tokens.iter().zip(found);
        let fresh = known.filter_map(|(token, found)| {
            let trade = found.as_ref().ok()?;
            freshness.admits(trade).then_some((*token, *trade))
        });
        let trades: Trades = fresh.collect();
        let mut prices = Vec::with_capacity(ids.len());
        let told = ids
            .iter()
            .zip(found)
            .map(|(id, found)| match (found, trades.price(*id)) {
                (_, Some(price)) => {
                    prices.push((*id, price));
                    Told::Fresh
                }
                (Ok(_), None) if trades.has(*id) => Told::Unpriced,
                (Ok(_), None) => Told::Stale,
                (Err(Lookup::Slow | Lookup::Error), None) => Told::Unavailable,
                (Err(_), None) => Told::Unknown,
            });
        let told = told.collect();
        let silent = |found: &Found| matches!(found, Err(Lookup::Slow | Lookup::Error));
        let source = if found.iter().all(silent) {
            Source::Nobody
        } else {
            Source::Ingest
        };
        let oldest = prices.iter().map(|(_, price)| price.since).min();
        Self {
            age: oldest.map(|since| freshness.age(since)),
            prices,
            told,
            source,
        }
    }

    fn into_response(self, ids: usize) -> Response {
        let all = self.prices.len() == ids;
        Response {
            status: 200,
            content_type: jupiter::JSON,
            body: Body::Whole(jupiter::answer(&self.prices)),
            retry_after: None,
            provenance: Some(Provenance {
                source: self.source,
                age: self.age,
            }),
            summary: Summary {
                method: PRICE,
                calls: 1,
                outcome: match self.source {
                    Source::Ingest => OK,
                    Source::Nobody => UNAVAILABLE,
                },
                trace: Trace::default(),
                cache: all.then_some(CacheStatus::Hit),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use perijove_core::market::{Position, Price, USDC, USDT, WSOL};
    use perijove_core::{Signature, Slot};

    use super::*;

    const NOW: u64 = 1_763_741_000_000;
    const TOKEN: Pubkey = Pubkey([7; 32]);
    const OTHER: Pubkey = Pubkey([8; 32]);

    /// A trade for so much of a money, so many seconds ago.
    fn trade(price: u64, quote: Pubkey, seconds: u64) -> Latest {
        Latest {
            position: Position {
                slot: Slot(100),
                transaction: 1,
                instruction: 1,
                ordinal: 0,
            },
            signature: Signature([1; 64]),
            time: (NOW - 1_000 * seconds).cast_signed(),
            price: Price::from_parts(price, 0).unwrap(),
            quote,
            pool: OTHER,
            decimals: 6,
            usd: None,
        }
    }

    /// What is told of these, where this is found of them, of USDT and of SOL.
    fn answer(ids: &[Pubkey], found: &[Found]) -> Answer {
        let freshness = Freshness {
            max_age: Duration::from_mins(1),
            max_slots: None,
            now: NOW,
            tip: None,
        };
        let tokens = with_money(ids);
        assert_eq!(tokens.len(), found.len());
        Answer::of(ids, &tokens, found, &freshness)
    }

    #[test]
    fn the_money_a_token_may_be_priced_in_is_looked_up_once() {
        assert_eq!(with_money(&[TOKEN]), [TOKEN, USDT, WSOL]);
        assert_eq!(with_money(&[WSOL, TOKEN]), [WSOL, TOKEN, USDT]);
        assert_eq!(with_money(&[USDC, USDT, WSOL]), [USDC, USDT, WSOL]);
    }

    #[test]
    fn every_token_is_told_by_what_was_found_of_it() {
        use Lookup::{Error, Miss, Slow};
        let (fresh, sol) = (Ok(trade(3, USDC, 5)), Ok(trade(150, USDC, 9)));
        let (stale, old_sol) = (Ok(trade(3, USDC, 61)), Ok(trade(150, USDC, 61)));
        let by_sol = Ok(trade(2, WSOL, 1));
        for (token, sol, told, age) in [
            (fresh, Err(Miss), Told::Fresh, Some(5)),
            (fresh, Err(Error), Told::Fresh, Some(5)),
            (by_sol, sol, Told::Fresh, Some(9)),
            (by_sol, old_sol, Told::Unpriced, None),
            (by_sol, Err(Slow), Told::Unpriced, None),
            (stale, sol, Told::Stale, None),
            (Err(Miss), sol, Told::Unknown, None),
            (Err(Slow), sol, Told::Unavailable, None),
            (Err(Error), sol, Told::Unavailable, None),
        ] {
            let answer = answer(&[TOKEN], &[token, Err(Miss), sol]);
            assert_eq!(answer.told, [told], "{token:?} {sol:?}");
            assert_eq!(answer.age, age.map(Duration::from_secs), "{told:?}");
            assert_eq!(answer.prices.len(), usize::from(told == Told::Fresh));
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_the_rest_is_told_in_order() {
        let found = [
            Ok(trade(3, USDC, 5)),
            Err(Lookup::Miss),
            Ok(trade(4, USDC, 30)),
            Err(Lookup::Miss),
            Err(Lookup::Miss),
        ];
        let answer = answer(&[TOKEN, USDC, OTHER], &found);
        let prices = answer.prices.iter().map(|(id, price)| (*id, price.dollars));
        assert_eq!(prices.collect::<Vec<_>>(), [(TOKEN, 3.0), (OTHER, 4.0)]);
        assert_eq!(answer.age, Some(Duration::from_secs(30)));
        let response = answer.into_response(3);
        assert_eq!(response.summary.cache, None);
        assert_eq!(response.summary.outcome, "ok");
    }

    #[test]
    fn a_silent_redis_is_no_error_and_is_told() {
        let silence = [Err(Lookup::Slow), Err(Lookup::Error), Err(Lookup::Slow)];
        let response = answer(&[TOKEN], &silence).into_response(1);
        assert_eq!(
            (response.status, response.summary.outcome),
            (200, "unavailable")
        );
        let provenance = response.provenance.unwrap();
        assert_eq!(provenance.source, Source::Nobody);
        assert_eq!(provenance.age, None);
        let Body::Whole(body) = response.body else {
            panic!("a whole body")
        };
        assert_eq!(body, "{}");
        // One that answers and knows nothing is another thing.
        let nothing = [Err(Lookup::Miss), Err(Lookup::Slow), Err(Lookup::Slow)];
        let response = answer(&[TOKEN], &nothing).into_response(1);
        assert_eq!(response.summary.outcome, "ok");
    }
}
