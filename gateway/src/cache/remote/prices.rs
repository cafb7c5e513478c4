//! The prices of tokens, which ingest writes into the same Redis. Only reads them, over the same
//! connections and with the same limits as lookups of answers.

use futures::future::join_all;
use perijove_core::Pubkey;
use perijove_core::redis::{self as schema, Dollars, LONGEST_DOLLARS};
use tokio::time::Instant;

use super::failure::{RedisFailure, RedisOperation};
use super::{RedisCache, bytes, range};
use crate::cache::Lookup;

impl RedisCache {
    /// The prices of these tokens, in their order, as far as they are found in time. All share one
    /// deadline, one place among the lookups and one report to the breaker, so that a client cannot
    /// do more harm with many tokens than with one.
    ///
    /// # Errors
    /// For each token, the result of the lookup instead: [`Lookup::Miss`] (also for an invalid
    /// value),
    /// [`Lookup::Slow`] or [`Lookup::Error`].
    pub async fn prices(&self, tokens: &[Pubkey]) -> Vec<Result<Dollars, Lookup>> {
        match self.look_up_all(tokens).await {
            Ok(found) => found.into_iter().map(|one| self.conclude(one)).collect(),
            Err(failure) => {
                self.metrics.failure(RedisOperation::Price, failure);
                vec![Err(failure.into()); tokens.len()]
            }
        }
    }

    async fn look_up_all(&self, tokens: &[Pubkey]) -> Result<Vec<PriceValue>, RedisFailure> {
        let live = self.live().ok_or(RedisFailure::Down)?;
        let place = self.places.try_acquire();
        let _place = place.map_err(|_all_taken| RedisFailure::Busy)?;
        let began = Instant::now();
        if !self.breaker.lock().admits(began) {
            return Err(RedisFailure::BreakerOpen);
        }
        let names: Vec<_> = tokens.iter().copied().map(schema::price).collect();
        let commands: Vec<_> = names
            .iter()
            .map(|name| range(name, LONGEST_DOLLARS))
            .collect();
        let asks = commands
            .iter()
            .map(|command| self.send(&live, command, bytes));
        let answers = join_all(asks).await;
        self.metrics.took(began.elapsed());
        self.judge(silence(&answers));
        Ok(names
            .iter()
            .zip(answers)
            .map(|(name, answer)| price(name, &answer?))
            .collect())
    }

    fn conclude(&self, found: PriceValue) -> Result<Dollars, Lookup> {
        found
            .inspect_err(|failure| self.metrics.failure(RedisOperation::Price, *failure))
            .map_err(Lookup::from)?
            .ok_or(Lookup::Miss)
    }
}

/// Why no server answered; `None` if any did. In a Cluster some servers may be healthy while others
/// are not, and a user who may not read prices may still read answers.
fn silence<T>(answers: &[Result<T, RedisFailure>]) -> Option<RedisFailure> {
    let mut failures = answers.iter().map(|answer| answer.as_ref().err().copied());
    let first = failures.clone().next()??;
    failures
        .all(|failure| failure.is_some_and(|failure| !failure.is_answer()))
        .then_some(first)
}

/// The value found under one name.
type PriceValue = Result<Option<Dollars>, RedisFailure>;

/// Decodes the price in the value of a name; `None` if the value is empty.
fn price(name: &str, value: &[u8]) -> PriceValue {
    if value.is_empty() {
        return Ok(None);
    }
    let body = schema::open(name, value, LONGEST_DOLLARS).inspect_err(
        |reason| tracing::debug!(%reason, "unreadable price in the shared cache ignored"),
    );
    let dollars = body.ok().and_then(|(_, body)| Dollars::decode(&body));
    dollars.map(Some).ok_or(RedisFailure::Unreadable)
}
