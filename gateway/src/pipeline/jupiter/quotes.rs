//! Quotes: refused if invalid, served from the cache while valid, requested once for identical
//! concurrent requests.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use super::ApiCall;
use super::answered::{Answered, fee_note};
use super::reply::{ApiContent, ApiResponse, Unanswered};
use super::shared_quote::{Followed, SharedQuote};
use crate::cache::{CacheKey, FlightRole, Hearing, KeptQuote};
use crate::config;
use crate::jupiter::{
    self, ApiRoute, Product, QuoteContext, QuoteLifetimes, QuoteQuery, QuoteValidity,
};
use crate::pipeline::{CacheStatus, CacheUse, Pipeline};
use crate::snapshot::Snapshot;

impl ApiCall {
    /// Answers `GET /swap/v1/quote`.
    pub(super) async fn quote(
        &self,
        route: &ApiRoute<'_>,
        query: &QuoteQuery,
    ) -> Result<ApiResponse, Unanswered> {
        let metrics = &self.pipeline.metrics.jupiter;
        if self.cache_use == CacheUse::Bypass {
            metrics.quote("bypass");
            let ended = self.fetch(route).await?;
            return Ok(self.delivered(ended, CacheStatus::Bypass));
        }
        let key = self.key(route, query);
        let settings = &self.snapshot.config.jupiter.quote;
        if self.cache_use == CacheUse::Normal && settings.cache {
            if let Some(known) = self.known(key) {
                return Ok(known);
            }
        } else {
            metrics.quote("miss");
        }
        let slots = settings.valid_slots.max(1);
        loop {
            let tip = self.tip().unwrap_or_default();
            let role = match self.cache_use {
                // It has to be fetched after the request arrived.
                CacheUse::Revalidate => self.pipeline.quote_flights.join_within(key, tip, 0),
                _ => self.pipeline.quote_flights.join_within(key, tip, slots),
            };
            match role {
                FlightRole::Lead(lead) => {
                    let ended = self.fetch(route).await;
                    lead.settle(match &ended {
                        Ok(ended) => self.keep(key, route, ended).into(),
                        Err(refused) => SharedQuote::Failed(refused.rejection.clone()),
                    });
                    return Ok(self.delivered(ended?, CacheStatus::Miss));
                }
                FlightRole::Follow(follow) => {
                    let followed = Followed::wait_for(follow, self.deadline()).await;
                    match followed.inspect_err(|_| metrics.quote("coalesced"))? {
                        Followed::Again => {}
                        Followed::Alone => {
                            metrics.quote("miss");
                            let ended = self.fetch(route).await?;
                            return Ok(self.delivered(ended, CacheStatus::Miss));
                        }
                        Followed::Shared(kept) => {
                            metrics.quote("coalesced");
                            let cache = &self.pipeline.cache.metrics;
                            cache.product_told(Product::Quote.label());
                            return Ok(self.told(&kept, Product::Quote, CacheStatus::Coalesced));
                        }
                    }
                }
            }
        }
    }

    /// Asks the upstreams.
    async fn fetch(&self, route: &ApiRoute<'_>) -> Result<Answered, Unanswered> {
        let ended = self.attempt(route, None).await?;
        self.remember(route.product, &ended).await;
        Ok(ended)
    }

    /// A kept quote that is still valid.
    fn known(&self, key: CacheKey) -> Option<ApiResponse> {
        let metrics = &self.pipeline.metrics.jupiter;
        let cache = &self.pipeline.cache;
        let Some(kept) = cache.quotes.get(key) else {
            metrics.quote("miss");
            return None;
        };
        match self.worth(&kept) {
            QuoteValidity::Fresh(_) => {
                metrics.quote("hit");
                cache.metrics.product_told(Product::Quote.label());
                Some(self.told(&kept, Product::Quote, CacheStatus::Hit))
            }
            QuoteValidity::Expired => {
                metrics.quote("expired");
                None
            }
            QuoteValidity::Traded => {
                metrics.quote("traded");
                cache.quotes.remove(key);
                None
            }
        }
    }

    /// Validity of a kept quote now.
    fn worth(&self, kept: &KeptQuote) -> QuoteValidity {
        let settings = &self.snapshot.config.jupiter.quote;
        let now = Instant::now();
        let age = now.saturating_duration_since(kept.at);
        if let Some(lives) = kept.lives {
            return if age < lives {
                QuoteValidity::Fresh(None)
            } else {
                QuoteValidity::Expired
            };
        }
        let tip = self.tip();
        let trades = &self.pipeline.cache.trades;
        let pools = kept.pools.as_deref();
        let heard = pools.is_some()
            && kept
                .context
                .is_some_and(|context| trades.heard_since(context, tip, hearing(settings), now));
        let rules = QuoteLifetimes {
            valid_slots: settings.valid_slots,
            quiet_slots: settings.quiet_slots,
            ttl: settings.ttl,
        };
        rules.worth(&QuoteContext {
            tip,
            traded: pools.and_then(|pools| trades.last(pools, tip)),
            heard,
            ..self.context_of(kept.context, kept.tip, kept.at)
        })
    }

    /// What is known of the age of a quote that was made from markets at `context`, and arrived `at`
    /// this time, when the cluster was at `tip_then`.
    fn context_of(
        &self,
        context: Option<Slot>,
        tip_then: Option<Slot>,
        at: Instant,
    ) -> QuoteContext {
        QuoteContext {
            context,
            tip: self.tip(),
            tip_then,
            age: Instant::now().saturating_duration_since(at),
            traded: None,
            heard: false,
        }
    }

    /// Keeps what may be kept, and returns it for other callers.
    fn keep(
        &self,
        key: CacheKey,
        route: &ApiRoute<'_>,
        ended: &Answered,
    ) -> Option<Arc<KeptQuote>> {
        let body = ended.whole()?;
        let settings = &self.snapshot.config.jupiter.quote;
        let fee = self.snapshot.jupiter.fee(route.api);
        if fee != Some(ended.upstream.settings().platform_fee_bps) {
            // With another fee than other callers expect.
            return None;
        }
        let status = ended.reply.status;
        let negative =
            (status == 400 && jupiter::is_no_route(body)).then_some(settings.negative_ttl);
        let facts = ended.facts.as_ref();
        let kept = Arc::new(KeptQuote {
            status,
            fields: ended.reply.fields.clone(),
            body: body.clone(),
            upstream: Arc::clone(ended.upstream.name()),
            context: facts.and_then(|facts| facts.context_slot),
            pools: facts.and_then(|facts| facts.pools.clone()),
            tip: ended.tip,
            at: ended.at,
            lives: negative,
        });
        let is_worth = negative.is_some_and(|lives| lives > Duration::ZERO)
            || (facts.is_some() && matches!(self.worth(&kept), QuoteValidity::Fresh(_)));
        if settings.cache && is_worth {
            self.pipeline.cache.quotes.put(key, Arc::clone(&kept));
        }
        Some(kept)
    }

    /// The answer from a kept quote.
    pub(super) fn told(
        &self,
        kept: &KeptQuote,
        product: Product,
        status: CacheStatus,
    ) -> ApiResponse {
        let age = self.context_of(kept.context, kept.tip, kept.at);
        ApiResponse {
            status: kept.status,
            fields: kept.fields.clone(),
            content: ApiContent::Whole(kept.body.clone()),
            product,
            outcome: if kept.status < 400 { "ok" } else { "refused" },
            upstream: Some(Arc::clone(&kept.upstream)),
            cache: Some(status),
            attempts: 0,
            tried: Vec::new(),
            hedged: false,
            upstream_latency: None,
            slots_behind: age.behind(),
            notes: fee_note(self.snapshot.jupiter.by_id(&kept.upstream)),
        }
    }

    /// The answer, unchanged.
    pub(super) fn delivered(&self, ended: Answered, status: CacheStatus) -> ApiResponse {
        let context = ended.facts.as_ref().and_then(|facts| facts.context_slot);
        let age = self.context_of(context, ended.tip, ended.at);
        ApiResponse {
            cache: Some(status),
            slots_behind: age.behind(),
            ..ended.into_response(Product::Quote)
        }
    }

    /// A quote's key: the canonical query, the fee of the upstreams, and whether the operator's is in it.
    fn key(&self, route: &ApiRoute<'_>, query: &QuoteQuery) -> CacheKey {
        let fee = self.snapshot.jupiter.fee(route.api).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"quote/v1");
        hasher.update(&fee.to_be_bytes());
        // A caller's own fee of the same size is another's to take.
        hasher.update(&[u8::from(self.charged)]);
        let rest = u64::try_from(route.rest().len()).unwrap_or(u64::MAX);
        hasher.update(&rest.to_be_bytes());
        hasher.update(route.rest().as_bytes());
        hasher.update(&query.canonical());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        CacheKey::from_bytes(bytes)
    }
}

impl Pipeline {
    /// Whether the trades that expire quotes arrive; its metrics show it from then on.
    pub fn hears_trades(&self, snapshot: &Snapshot) -> bool {
        let tip = snapshot.pool.slots().map(|view| view.now);
        let settings = hearing(&snapshot.config.jupiter.quote);
        let trades = &self.cache.trades;
        trades.are_heard(tip, settings, Instant::now())
    }
}

/// When trades count as arriving.
fn hearing(settings: &config::Quotes) -> Hearing {
    Hearing {
        silence: settings.feed_silence,
        lag: settings.feed_lag_slots,
    }
}
