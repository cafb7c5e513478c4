//! The route optimizer: several upstreams and several variants of a quote at the same time, and the best
//! of what has come by the deadline. Quotes are not kept; which variant was the best for a pair is.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join};
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use perijove_core::Pubkey;
use quick_cache::sync::Cache;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::ApiCall;
use super::attempts::{Attempted, Ended, carry_out};
use super::reply::ApiResponse;
use crate::error::Rejection;
use crate::jupiter::{self, AS_ASKED, Product, QuoteFacts, QuoteQuery, Route, SwapMode, Variant};
use crate::pipeline::{Body, CacheStatus, CacheUse, Request};

/// Pairs whose best variant is remembered.
const PAIRS: usize = 10_000;

/// Which variant was the best for a pair.
type Pair = (Pubkey, Pubkey, bool);

/// What is remembered between quotes.
pub(in crate::pipeline) struct Optimizer {
    choices: Cache<Pair, (Arc<str>, Instant)>,
    budget: Mutex<Budget>,
}

/// Requests that may be made beside the first of each quote: a bucket that fills within a minute.
#[derive(Debug)]
struct Budget {
    left: f64,
    at: Option<Instant>,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            choices: Cache::new(PAIRS),
            budget: Mutex::new(Budget {
                left: 0.0,
                at: None,
            }),
        }
    }
}

impl std::fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Optimizer").finish_non_exhaustive()
    }
}

impl Budget {
    /// Takes one request, if there is one.
    fn take(&mut self, per_minute: u32, now: Instant) -> bool {
        let most = f64::from(per_minute);
        let since = self.at.map(|at| now.saturating_duration_since(at));
        self.left = match since {
            None => most,
            Some(since) => (self.left + most * since.as_secs_f64() / 60.0).min(most),
        };
        self.at = Some(now);
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// What has come of one variant.
struct Candidate {
    ended: Ended,
    variant: Arc<str>,
}

impl ApiCall {
    /// The best quote that there is within the deadline.
    pub(super) async fn best_of(
        &self,
        route: &Route<'_>,
        query: &str,
        parsed: &QuoteQuery,
    ) -> Result<ApiResponse, Rejection> {
        let settings = &self.snapshot.config.jupiter.optimizer;
        let deadline = (self.started + settings.deadline).min(self.deadline());
        let best = self.best(route, query, parsed, deadline);
        let fee = timeout_at(deadline, self.priority_fee());
        let (best, fee) = join(best, fee).await;
        let mut response = best?;
        if let Ok(Some(fee)) = fee {
            response
                .notes
                .push(("x-perijove-priority-fee", fee.to_string().into()));
        }
        Ok(response)
    }

    async fn best(
        &self,
        route: &Route<'_>,
        query: &str,
        parsed: &QuoteQuery,
        deadline: Instant,
    ) -> Result<ApiResponse, Rejection> {
        let pair = (
            parsed.input_mint,
            parsed.output_mint,
            parsed.mode == SwapMode::ExactIn,
        );
        let mut running = self.begin(route, query, parsed, pair);
        let mut all: Vec<Candidate> = Vec::new();
        while !running.is_empty() {
            // Something has to come, also after the deadline.
            let until = if all.is_empty() {
                self.deadline()
            } else {
                deadline
            };
            match timeout_at(until, running.next()).await {
                Ok(Some((attempted, variant))) => {
                    if let Some(ended) = attempted.good() {
                        all.push(Candidate { ended, variant });
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        let compared = all.len();
        let first = all
            .iter()
            .find(|one| &*one.variant == AS_ASKED)
            .and_then(|one| one.ended.facts.clone());
        let mode = parsed.mode;
        let best =
            all.into_iter()
                .reduce(|best, one| match (&one.ended.facts, &best.ended.facts) {
                    (Some(new), Some(known)) if jupiter::is_better(mode, new, known) => one,
                    _ => best,
                });
        let Some(best) = best else {
            // As if nobody had asked for the best: with retries, and the answer as to why there is none.
            let ended = self.attempt(route, None).await?;
            self.remember(Product::Quote, &ended);
            return Ok(self.delivered(ended, CacheStatus::Bypass));
        };
        Ok(self.chosen(best, compared, first.as_ref(), pair))
    }

    /// The answer with what was compared and gained.
    fn chosen(
        &self,
        best: Candidate,
        compared: usize,
        first: Option<&QuoteFacts>,
        pair: Pair,
    ) -> ApiResponse {
        let Candidate { ended, variant } = best;
        self.remember(Product::Quote, &ended);
        if compared > 1 {
            let choice = (Arc::clone(&variant), Instant::now());
            self.pipeline.optimizer.choices.insert(pair, choice);
        }
        let mode = if pair.2 {
            SwapMode::ExactIn
        } else {
            SwapMode::ExactOut
        };
        let gain = first
            .zip(ended.facts.as_ref())
            .map(|(first, best)| jupiter::gain_bps(mode, best, first));
        self.pipeline.metrics.jupiter.optimized(compared, gain);
        let mut response = self.delivered(ended, CacheStatus::Bypass);
        let notes = &mut response.notes;
        notes.push(("x-perijove-variant", plain(&variant).into()));
        notes.push(("x-perijove-compared", compared.to_string().into()));
        if let Some(gain) = gain {
            let gain = format!("{:.2}", gain.max(0.0));
            notes.push(("x-perijove-gain-bps", gain.into()));
        }
        response
    }

    /// Asks all at the same time: the quote as it was asked for of several upstreams, and its variants of
    /// the first.
    fn begin<'c>(
        &'c self,
        route: &'c Route<'c>,
        query: &str,
        parsed: &QuoteQuery,
        pair: Pair,
    ) -> FuturesUnordered<BoxFuture<'c, (Attempted, Arc<str>)>> {
        let settings = &self.snapshot.config.jupiter.optimizer;
        let (pool, now) = (&self.snapshot.jupiter, Instant::now());
        let choice = pool.choose(route.api, Product::Quote, self.affinity, None, now);
        let most = usize::try_from(settings.max_routes).unwrap_or(usize::MAX);
        let mut variants = jupiter::variants(query, parsed, &settings.dexes, most);
        if let Some((known, at)) = self.pipeline.optimizer.choices.get(&pair)
            && now.saturating_duration_since(at) < settings.choice_ttl
        {
            variants.retain(|variant| variant.name == AS_ASKED || *variant.name == *known);
        }
        let first = choice.order.first();
        let asked = variants.first().cloned();
        let others = choice
            .order
            .iter()
            .skip(1)
            .map(|upstream| (upstream, asked.clone()));
        let others = others.filter_map(|(upstream, asked)| Some((upstream, asked?)));
        let of_first = first.into_iter().flat_map(|upstream| {
            let variants = variants.iter().cloned();
            variants.map(move |variant| (upstream, variant))
        });
        let running = FuturesUnordered::new();
        for (index, (upstream, variant)) in of_first.chain(others).enumerate() {
            let mut budget = self.pipeline.optimizer.budget.lock();
            if index > 0 && !budget.take(settings.requests_per_minute, now) {
                break;
            }
            drop(budget);
            let Variant { name, query } = variant;
            let request = self.request_of(route, upstream, &query);
            let ticket = upstream.admit(now, false);
            let Some((ticket, request)) = ticket.zip(request) else {
                continue;
            };
            let attempt = carry_out(self, Product::Quote, ticket, request, false);
            let name: Arc<str> = name.into();
            let named: BoxFuture<'c, _> = Box::pin(async move { (attempt.await, name) });
            running.push(named);
        }
        running
    }

    /// What is to be offered for a transaction to be taken soon, in micro-lamports for a unit of compute.
    async fn priority_fee(&self) -> Option<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fee {
            prioritization_fee: u64,
        }
        #[derive(Deserialize)]
        struct Answer {
            result: Vec<Fee>,
        }
        let request = Request {
            pipeline: Arc::clone(&self.pipeline),
            snapshot: Arc::clone(&self.snapshot),
            client: self.affinity,
            // For the gateway's own use.
            consumer: None,
            address: None,
            priority: None,
            started: self.started,
            deadline: self.started + self.snapshot.config.jupiter.optimizer.deadline,
            cache_use: CacheUse::Normal,
            ledger_only: false,
        };
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"getRecentPrioritizationFees","params":[]}"#;
        let response = Box::pin(request.answer(Bytes::from_static(body.as_bytes()))).await;
        let body = match response.body {
            Body::Whole(body) | Body::Verbatim(body) => body,
            Body::Shared(pieces) => pieces.concat().into(),
            Body::Empty | Body::Stream { .. } => return None,
        };
        let answer: Answer = serde_json::from_slice(&body).ok()?;
        let mut fees: Vec<_> = answer
            .result
            .iter()
            .map(|fee| fee.prioritization_fee)
            .filter(|fee| *fee > 0)
            .collect();
        fees.sort_unstable();
        let median = fees.get(fees.len() / 2).copied().unwrap_or_default();
        let settings = &self.snapshot.config.jupiter.optimizer;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate"
        )]
        let fee = (median as f64 * settings.priority_fee_multiplier).ceil() as u64;
        Some(fee)
    }
}

/// Names of exchanges may hold what a header may not.
fn plain(name: &str) -> String {
    let fine = |letter: char| letter.is_ascii_graphic() || letter == ' ';
    name.chars().filter(|letter| fine(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_beside_the_first_is_bounded_by_the_minute() {
        let mut budget = Budget {
            left: 0.0,
            at: None,
        };
        let now = Instant::now();
        let taken = (0..100).filter(|_| budget.take(60, now)).count();
        assert_eq!(taken, 60);
        let later = now + Duration::from_secs(10);
        let taken = (0..100).filter(|_| budget.take(60, later)).count();
        assert_eq!(taken, 10);
        assert!(!budget.take(0, later + Duration::from_hours(1)));
    }
}
