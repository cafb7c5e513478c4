//! The route optimizer: requests several variants of a quote from several upstreams concurrently,
//! and returns the best that has arrived by the deadline. Quotes are not kept; which variant was
//! the best for a pair is ([`super::optimizer`]).

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::ApiCall;
use super::optimizer::{PairMemory, QuotedPair};
use super::quoted_variants::{self, QuotedVariant, QuotedVariants};
use super::reply::{ApiResponse, Unanswered};
use crate::jupiter::{
    self, AS_ASKED, ApiRoute, Product, QuoteFacts, QuoteQuery, SwapMode, Variant,
};
use crate::pipeline::{CacheStatus, CacheUse, Request, ResponseBody};
use crate::upstream::ApiUpstream;

impl ApiCall {
    /// The best quote within the deadline.
    pub(super) async fn best_of(
        &self,
        route: &ApiRoute<'_>,
        query: &str,
        parsed: &QuoteQuery,
    ) -> Result<ApiResponse, Unanswered> {
        let settings = &self.snapshot.config.jupiter.optimizer;
        let deadline = (self.context.started + settings.deadline).min(self.deadline());
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
        route: &ApiRoute<'_>,
        query: &str,
        parsed: &QuoteQuery,
        deadline: Instant,
    ) -> Result<ApiResponse, Unanswered> {
        let pair = (
            parsed.input_mint,
            parsed.output_mint,
            parsed.mode == SwapMode::ExactIn,
        );
        let ttl = self.optimizer().choice_ttl;
        let known = self.pipeline.optimizer.known(&pair, ttl, Instant::now());
        let mut variants = self.begin(route, query, parsed, known.as_ref());
        let mut all = variants.collect(deadline, self.deadline()).await;
        let finished = variants.are_compared();
        let tried = variants.leave();
        if let Some(known) = &known
            && !all.iter().any(|one| *one.variant == *known.variant)
        {
            // What does not arrive is not the best.
            self.pipeline.optimizer.forget(&pair);
        }
        let slots = self.snapshot.config.jupiter.quote.valid_slots;
        quoted_variants::drop_older(&mut all, self.tip(), slots);
        let compared = all.len();
        let first = quoted_variants::plain(&all).and_then(|plain| plain.ended.facts.clone());
        let mode = parsed.mode;
        let best =
            all.into_iter()
                .reduce(|best, one| match (&one.ended.facts, &best.ended.facts) {
                    (Some(new), Some(known)) if jupiter::is_better(mode, new, known) => one,
                    _ => best,
                });
        let Some(best) = best else {
            // As if the best had not been requested: with retries, and with the error if there is
            // no quote.
            let ended = self.attempt(route, None).await?;
            self.remember(Product::Quote, &ended).await;
            return Ok(self.delivered(ended, CacheStatus::Bypass));
        };
        if finished && compared > 1 {
            let facts = best.ended.facts.as_ref().zip(first.as_ref());
            let gains = facts.is_none_or(|(best, first)| jupiter::is_better(mode, best, first));
            // A variant that is no better than the plain quote is not worth a request.
            let variant: &str = if gains { &best.variant } else { AS_ASKED };
            self.learn(pair, known.as_ref(), variant);
        }
        self.remember(Product::Quote, &best.ended).await;
        let mut response = self.chosen(best, compared, first.as_ref(), mode);
        response.attempts = u32::try_from(tried.len()).unwrap_or(u32::MAX);
        response.tried = tried;
        Ok(response)
    }

    /// Remembers the best variant. A remembered one that is no longer the best is forgotten: the
    /// next quote compares all again.
    fn learn(&self, pair: QuotedPair, known: Option<&PairMemory>, best: &str) {
        let optimizer = &self.pipeline.optimizer;
        match known {
            Some(known) if *known.variant != *best => optimizer.forget(&pair),
            Some(_) => {}
            None => optimizer.learn(pair, best.into(), Instant::now()),
        }
    }

    /// The answer with what was compared and gained.
    fn chosen(
        &self,
        best: QuotedVariant,
        compared: usize,
        first: Option<&QuoteFacts>,
        mode: SwapMode,
    ) -> ApiResponse {
        let QuotedVariant { ended, variant, .. } = best;
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

    /// Requests all concurrently: the plain quote from several upstreams, and its variants from the
    /// first.
    fn begin(
        &self,
        route: &ApiRoute<'_>,
        query: &str,
        parsed: &QuoteQuery,
        known: Option<&PairMemory>,
    ) -> QuotedVariants {
        let settings = &self.snapshot.config.jupiter.optimizer;
        let (pool, now) = (&self.snapshot.jupiter, Instant::now());
        let choice = pool.choose(route.api, Product::Quote, self.affinity, None, now);
        let most = usize::try_from(settings.max_routes).unwrap_or(usize::MAX);
        let mut variants = jupiter::variants(query, parsed, &settings.dexes, most);
        if let Some(known) = known {
            variants.retain(|variant| variant.name == AS_ASKED || *variant.name == *known.variant);
        }
        let first = choice.order.first();
        let asked = variants.first().cloned();
        // Those with another fee answer only where no other can.
        let fee = |upstream: &ApiUpstream| upstream.settings().platform_fee_bps;
        let usual = first.map(|first| fee(first));
        let others = choice
            .order
            .iter()
            .skip(1)
            .filter(|other| Some(fee(other)) == usual)
            .map(|upstream| (upstream, asked.clone()));
        let others = others.filter_map(|(upstream, asked)| Some((upstream, asked?)));
        let of_first = first.into_iter().flat_map(|upstream| {
            let variants = variants.iter().cloned();
            variants.map(move |variant| (upstream, variant))
        });
        let mut asked_for = QuotedVariants::new(now);
        for (index, (upstream, variant)) in of_first.chain(others).enumerate() {
            let optimizer = &self.pipeline.optimizer;
            let Variant { name, query } = variant;
            if index > 0 && !optimizer.may_ask(settings.requests_per_minute, now) {
                asked_for.leave_out(&name);
                break;
            }
            // The allowance may be used up by those before it.
            let spent = index > 0 && upstream.wait(Product::Quote, now).is_some();
            let candidate = (!spent).then(|| upstream.admit(Product::Quote, now, false));
            let Some(candidate) = candidate.flatten() else {
                asked_for.leave_out(&name);
                continue;
            };
            let number = u32::try_from(asked_for.len() + 1).unwrap_or(u32::MAX);
            let dispatch = self.dispatch(route, &choice, &query);
            let attempt = dispatch.single(candidate, number);
            asked_for.add(attempt, Arc::clone(upstream), name.into());
        }
        asked_for
    }

    /// The priority fee for a transaction to land soon, in micro-lamports per compute unit.
    async fn priority_fee(&self) -> Option<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct QuotedFee {
            prioritization_fee: u64,
        }
        #[derive(Deserialize)]
        struct QuoteAmounts {
            result: Vec<QuotedFee>,
        }
        let request = Request {
            pipeline: Arc::clone(&self.pipeline),
            snapshot: Arc::clone(&self.snapshot),
            // Its caller stops waiting earlier, and a call refused then would count as failed.
            context: Arc::new(self.context.internally(self.affinity)),
            cache_use: CacheUse::Normal,
            ledger_only: false,
            shown_before: None,
        };
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"getRecentPrioritizationFees","params":[]}"#;
        let response = Box::pin(request.answer(Bytes::from_static(body.as_bytes()))).await;
        let body = match response.body {
            ResponseBody::Whole(body) | ResponseBody::Verbatim(body) => body,
            ResponseBody::Shared(pieces) => pieces.concat().into(),
            ResponseBody::Empty | ResponseBody::Stream { .. } => return None,
        };
        let answer: QuoteAmounts = serde_json::from_slice(&body).ok()?;
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

/// Names of exchanges may contain characters that a header may not.
fn plain(name: &str) -> String {
    let fine = |letter: char| letter.is_ascii_graphic() || letter == ' ';
    name.chars().filter(|letter| fine(*letter)).collect()
}
