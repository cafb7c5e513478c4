//! Prices of tokens in the shape of Jupiter's price API, as ingest wrote them to Redis. Missing
//! ones are requested from Jupiter, if there is an upstream for that; tokens without a price are
//! left out.

mod metrics;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::Pubkey;
use perijove_core::redis::Dollars;
use tokio::time::Instant;

pub(super) use self::metrics::PriceMetrics;
use self::metrics::{PRICE, PriceOutcome, UNAVAILABLE};
use super::Pipeline;
use super::cache_use::CacheStatus;
use super::jupiter::{ApiCall, ToldPrices};
use super::response::{AnswerSource, Provenance, RequestSummary, Response, ResponseBody};
use crate::cache::Lookup;
use crate::dispatch::CallSummary;
use crate::error::Rejection;
use crate::jupiter::{self, PriceFreshness};
use crate::snapshot::Snapshot;

/// The outcome of a request that Redis answered, with or without prices.
const OK: &str = "ok";

/// The result of the lookup for one token.
type PriceLookup = Result<Dollars, Lookup>;

impl Pipeline {
    /// Answers `GET /price/v3?ids=…`. Prices that ingest does not have are requested through
    /// `jupiter`, if an upstream has prices.
    ///
    /// # Errors
    /// Prices are not served, the query is invalid, or Jupiter failed and no price is known. It is not an
    /// error if Redis alone does not answer: then no price is known.
    pub async fn prices(
        &self,
        snapshot: &Snapshot,
        query: Option<&str>,
        started: Instant,
        jupiter: ApiCall,
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
        let found = self.prices_of(&ids).await;
        let most = snapshot.config.price.max_uncertainty;
        let mut answer = PriceAnswer::of(&ids, &found, &self.freshness(snapshot), most);
        let missing = answer.missing(&ids);
        if missing.is_empty() {
            self.cache.metrics.price_told();
        } else {
            answer.add(&ids, jupiter.prices_of(&missing).await);
        }
        answer.told.iter().for_each(|told| metrics.told(*told));
        if let Some(failure) = answer.take_failure() {
            metrics.refused(&failure);
            return Err(failure);
        }
        let upstream = answer.upstream.take();
        let response = answer.into_response(&ids, jupiter::shows_extra(query));
        let outcome = response.summary.outcome;
        metrics.answered(upstream.as_deref(), outcome, started.elapsed());
        Ok(response)
    }

    /// The prices of tokens, in their order.
    async fn prices_of(&self, tokens: &[Pubkey]) -> Vec<PriceLookup> {
        match self.cache.remote() {
            Some(remote) => remote.prices(tokens).await,
            None => vec![Err(Lookup::Error); tokens.len()],
        }
    }

    fn freshness(&self, snapshot: &Snapshot) -> PriceFreshness {
        let settings = &snapshot.config.price;
        PriceFreshness {
            max_age: settings.max_age,
            max_slots: settings.max_slots,
            now: self.cache.unix_now(),
            tip: snapshot.pool.slots().map(|view| view.now),
        }
    }
}

/// The answer to a request.
struct PriceAnswer {
    prices: Vec<(Pubkey, Dollars)>,
    /// Jupiter's prices for others, as it wrote them.
    others: Vec<(Pubkey, Bytes)>,
    /// For each requested token.
    told: Vec<PriceOutcome>,
    source: AnswerSource,
    /// Age of the oldest trade that was used, or of the oldest of Jupiter's prices.
    age: Option<Duration>,
    /// Jupiter's upstream that answered.
    upstream: Option<Arc<str>>,
    /// An upstream was asked.
    asked: bool,
    /// Why Jupiter did not answer.
    failure: Option<Rejection>,
    /// Milliseconds since 1970.
    now: u64,
}

impl PriceAnswer {
    /// `found` is the result for each token. Prices less certain than `most` are left out.
    fn of(ids: &[Pubkey], found: &[PriceLookup], freshness: &PriceFreshness, most: f64) -> Self {
        let mut prices = Vec::with_capacity(ids.len());
        let told = ids.iter().zip(found).map(|(id, found)| match found {
            Ok(price) if !freshness.admits(price) => PriceOutcome::Stale,
            Ok(price) if price.uncertain > most => PriceOutcome::Uncertain,
            Ok(price) => {
                prices.push((*id, *price));
                PriceOutcome::Fresh
            }
            Err(Lookup::Slow | Lookup::Error) => PriceOutcome::Unavailable,
            Err(_) => PriceOutcome::Unknown,
        });
        let told = told.collect();
        let silent = |found: &PriceLookup| matches!(found, Err(Lookup::Slow | Lookup::Error));
        let source = if found.iter().all(silent) {
            AnswerSource::Nobody
        } else {
            AnswerSource::Ingest
        };
        let oldest = prices.iter().map(|(_, price)| price.since).min();
        Self {
            age: oldest.map(|since| freshness.age(since)),
            now: freshness.now,
            upstream: None,
            asked: false,
            failure: None,
            others: Vec::new(),
            prices,
            told,
            source,
        }
    }

    /// The tokens without a price so far.
    fn missing(&self, ids: &[Pubkey]) -> Vec<Pubkey> {
        let told = ids.iter().zip(&self.told);
        let missing = told.filter(|(_, told)| **told != PriceOutcome::Fresh);
        missing.map(|(id, _)| *id).collect()
    }

    /// Adds Jupiter's prices.
    fn add(&mut self, ids: &[Pubkey], theirs: ToldPrices) {
        for (id, told) in ids.iter().zip(&mut self.told) {
            if theirs.prices.iter().any(|(other, _)| other == id) {
                *told = PriceOutcome::Jupiter;
            } else if theirs.failure.is_some() && *told != PriceOutcome::Fresh {
                *told = PriceOutcome::Unavailable;
            } else if theirs.upstream.is_some() && *told == PriceOutcome::Unavailable {
                *told = PriceOutcome::Unknown;
            }
        }
        // One that has no price of theirs has answered as well.
        let has_answered = !theirs.prices.is_empty()
            || (theirs.upstream.is_some() && self.source == AnswerSource::Nobody);
        if has_answered {
            self.source = if self.prices.is_empty() {
                AnswerSource::Jupiter
            } else {
                AnswerSource::Both
            };
        }
        self.age = self.age.max(theirs.age);
        self.asked = !theirs.is_kept;
        self.upstream = theirs.upstream;
        self.failure = theirs.failure;
        self.others = theirs.prices;
    }

    /// Why Jupiter did not answer, if there is nothing else to answer with. A token left out is one
    /// without a price, which nobody knows then.
    fn take_failure(&mut self) -> Option<Rejection> {
        let is_empty = self.prices.is_empty() && self.others.is_empty();
        self.failure.take_if(|_| is_empty)
    }

    /// The tokens of which it is not known whether they have a price.
    fn unavailable(&self, ids: &[Pubkey]) -> Vec<Pubkey> {
        let told = ids.iter().zip(&self.told);
        let unavailable = told.filter(|(_, told)| **told == PriceOutcome::Unavailable);
        unavailable.map(|(id, _)| *id).collect()
    }

    fn outcome(&self) -> &'static str {
        match self.source {
            AnswerSource::Nobody => UNAVAILABLE,
            _ if self.failure.is_some() => UNAVAILABLE,
            AnswerSource::Ingest | AnswerSource::Jupiter | AnswerSource::Both => OK,
        }
    }

    fn into_response(self, ids: &[Pubkey], extra: bool) -> Response {
        let known = self.prices.len() + self.others.len();
        let is_hit = !self.asked && known == self.told.len();
        Response {
            status: 200,
            content_type: jupiter::JSON,
            body: ResponseBody::Whole(jupiter::answer(&self.prices, &self.others, extra, self.now)),
            retry_after: None,
            provenance: Some(Provenance {
                source: self.source,
                age: self.age,
                unavailable: self.unavailable(ids),
            }),
            admitted: None,
            remaining: None,
            summary: RequestSummary {
                method: PRICE,
                calls: 1,
                outcome: self.outcome(),
                attempt_summary: CallSummary::default(),
                cache: is_hit.then_some(CacheStatus::Hit),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use perijove_core::Slot;
    use perijove_core::market::USDC;

    use super::*;

    const NOW: u64 = 1_763_741_000_000;
    const TOKEN: Pubkey = Pubkey([7; 32]);
    const OTHER: Pubkey = Pubkey([8; 32]);

    /// A price based on trades of so many seconds ago.
    fn price(usd: f64, seconds: u64) -> Dollars {
        let since = (NOW - 1_000 * seconds).cast_signed();
        Dollars {
            usd,
            uncertain: 0.01,
            decimals: 6,
            slot: Slot(100),
            time: since,
            since,
            trades: 9,
            pools: 2,
            turnover: 5_000.0,
        }
    }

    fn answer(ids: &[Pubkey], found: &[PriceLookup]) -> PriceAnswer {
        let freshness = PriceFreshness {
            max_age: Duration::from_mins(1),
            max_slots: None,
            now: NOW,
            tip: None,
        };
        PriceAnswer::of(ids, found, &freshness, 0.25)
    }

    #[test]
    fn every_token_is_told_by_what_was_found_of_it() {
        use Lookup::{Error, Miss, Slow};
        let doubtful = |uncertain| Dollars {
            uncertain,
            ..price(3.0, 5)
        };
        for (token, told, age) in [
            (Ok(price(3.0, 5)), PriceOutcome::Fresh, Some(5)),
            (Ok(price(3.0, 60)), PriceOutcome::Fresh, Some(60)),
            (Ok(price(3.0, 61)), PriceOutcome::Stale, None),
            (Ok(doubtful(0.25)), PriceOutcome::Fresh, Some(5)),
            (Ok(doubtful(0.26)), PriceOutcome::Uncertain, None),
            (Err(Miss), PriceOutcome::Unknown, None),
            (Err(Slow), PriceOutcome::Unavailable, None),
            (Err(Error), PriceOutcome::Unavailable, None),
        ] {
            let answer = answer(&[TOKEN], &[token]);
            assert_eq!(answer.told, [told], "{token:?}");
            assert_eq!(answer.age, age.map(Duration::from_secs), "{told:?}");
            assert_eq!(
                answer.prices.len(),
                usize::from(told == PriceOutcome::Fresh)
            );
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_the_rest_is_told_in_order() {
        let found = [Ok(price(3.0, 5)), Err(Lookup::Miss), Ok(price(4.0, 30))];
        let answer = answer(&[TOKEN, USDC, OTHER], &found);
        let prices = answer.prices.iter().map(|(id, price)| (*id, price.usd));
        assert_eq!(prices.collect::<Vec<_>>(), [(TOKEN, 3.0), (OTHER, 4.0)]);
        assert_eq!(answer.age, Some(Duration::from_secs(30)));
        let response = answer.into_response(&[TOKEN, USDC, OTHER], false);
        assert_eq!(response.summary.cache, None);
        assert_eq!(response.summary.outcome, "ok");
    }

    #[test]
    fn a_silent_redis_is_no_error_and_is_told() {
        let silence = [Err(Lookup::Slow), Err(Lookup::Error)];
        let response = answer(&[TOKEN, OTHER], &silence).into_response(&[TOKEN, OTHER], false);
        assert_eq!(
            (response.status, response.summary.outcome),
            (200, "unavailable")
        );
        let provenance = response.provenance.unwrap();
        assert_eq!(provenance.source, AnswerSource::Nobody);
        assert_eq!(provenance.age, None);
        let ResponseBody::Whole(body) = response.body else {
            panic!("a whole body")
        };
        assert_eq!(body, "{}");
        // One that answers and knows nothing is another thing.
        let nothing = [Err(Lookup::Miss), Err(Lookup::Slow)];
        let response = answer(&[TOKEN, OTHER], &nothing).into_response(&[TOKEN, OTHER], false);
        assert_eq!(response.summary.outcome, "ok");
    }

    #[test]
    fn what_jupiter_could_not_be_asked_is_an_error_or_named() {
        let failed = |prices| ToldPrices {
            prices,
            failure: Some(Rejection::ApiKeyRefused),
            ..ToldPrices::default()
        };
        let both = [TOKEN, OTHER];
        let mut nothing = answer(&both, &[Err(Lookup::Miss), Err(Lookup::Slow)]);
        nothing.add(&both, failed(Vec::new()));
        assert_eq!(nothing.told, [PriceOutcome::Unavailable; 2]);
        assert!(matches!(
            nothing.take_failure(),
            Some(Rejection::ApiKeyRefused)
        ));
        let theirs = vec![(TOKEN, Bytes::from_static(b"{}"))];
        for (found, prices, source) in [
            (Ok(price(3.0, 5)), Vec::new(), AnswerSource::Ingest),
            (Err(Lookup::Miss), theirs, AnswerSource::Jupiter),
        ] {
            let mut part = answer(&both, &[found, Err(Lookup::Miss)]);
            part.add(&both, failed(prices));
            assert!(part.take_failure().is_none());
            let response = part.into_response(&both, false);
            assert_eq!(response.summary.outcome, UNAVAILABLE);
            let provenance = response.provenance.unwrap();
            assert_eq!(provenance.source, source);
            assert_eq!(provenance.unavailable, [OTHER]);
        }
    }
}
