//! Answers that are the same for all callers for a while: token data, names of programs, and prices.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ApiCall;
use super::answered::Answered;
use super::reply::{ApiResponse, Unanswered};
use super::shared_quote::{Followed, SharedQuote};
use crate::cache::{CacheKey, FlightRole, KeptQuote};
use crate::jupiter::{self, ApiRoute, Product};
use crate::pipeline::{CacheStatus, CacheUse};

impl ApiCall {
    /// Answers a read whose answer is kept for a while.
    pub(super) async fn kept(&self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        let lives = self.lives(route);
        if lives.is_zero() || self.cache_use == CacheUse::Bypass {
            return self.forward(route).await;
        }
        let (key, cache) = (self.key_of(route), &self.pipeline.cache);
        loop {
            let now = Instant::now();
            let known = cache.quotes.get(key);
            let known = known.filter(|known| {
                let age = now.saturating_duration_since(known.at);
                known.lives.is_some_and(|lives| age < lives)
            });
            if let Some(known) = known.filter(|_| self.cache_use == CacheUse::Normal) {
                cache.metrics.product_told(route.product.label());
                return Ok(self.told(&known, route.product, CacheStatus::Hit));
            }
            match self.pipeline.quote_flights.join(key) {
                FlightRole::Lead(lead) => {
                    let ended = self.attempt(route, None).await;
                    lead.settle(match &ended {
                        Ok(ended) => self.keep_for(key, ended, lives).into(),
                        Err(refused) => SharedQuote::Failed(refused.rejection.clone()),
                    });
                    return Ok(missed(ended?, route.product));
                }
                FlightRole::Follow(follow) => {
                    match Followed::wait_for(follow, self.deadline()).await? {
                        Followed::Again => {}
                        Followed::Alone => {
                            let ended = self.attempt(route, None).await?;
                            return Ok(missed(ended, route.product));
                        }
                        Followed::Shared(kept) => {
                            cache.metrics.product_told(route.product.label());
                            return Ok(self.told(&kept, route.product, CacheStatus::Coalesced));
                        }
                    }
                }
            }
        }
    }

    fn lives(&self, route: &ApiRoute<'_>) -> Duration {
        let lifetimes = &self.snapshot.config.jupiter.lifetimes;
        match (route.product, route.rest().trim_end_matches('/')) {
            (Product::Labels, _) => lifetimes.labels,
            (Product::Price, _) => lifetimes.prices,
            (_, "/search") => lifetimes.token_search,
            (_, "/recent") => lifetimes.recent_tokens,
            _ => lifetimes.token_lists,
        }
    }

    fn keep_for(&self, key: CacheKey, ended: &Answered, lives: Duration) -> Option<Arc<KeptQuote>> {
        let body = ended.whole()?;
        let fields = &ended.reply.fields;
        if fields
            .iter()
            .any(|(name, value)| *name == "cache-control" && !is_for_all(value))
        {
            return None;
        }
        let kept = Arc::new(KeptQuote {
            status: ended.reply.status,
            fields: ended.reply.fields.clone(),
            body: body.clone(),
            upstream: Arc::clone(ended.upstream.name()),
            context: None,
            tip: None,
            pools: None,
            at: Instant::now(),
            lives: Some(lives),
        });
        if ended.reply.status == 200 && !jupiter::is_error(body) {
            self.pipeline.cache.quotes.put(key, Arc::clone(&kept));
        }
        Some(kept)
    }

    /// The key is the request as written.
    fn key_of(&self, route: &ApiRoute<'_>) -> CacheKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"read");
        for part in [route.product.label(), route.rest(), &self.query] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.update(&length.to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        CacheKey::from_bytes(bytes)
    }
}

/// Whether `Cache-Control` lets an answer be kept for other callers.
pub(super) fn is_for_all(cache_control: &[u8]) -> bool {
    let mut directives = cache_control.split(|byte| *byte == b',');
    !directives.any(|directive| {
        let name = directive.split(|byte| *byte == b'=').next();
        let name = name.unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"private")
    })
}

/// The answer of an upstream to a read that is kept.
fn missed(ended: Answered, product: Product) -> ApiResponse {
    ApiResponse {
        cache: Some(CacheStatus::Miss),
        ..ended.into_response(product)
    }
}

#[cfg(test)]
mod tests {
    use super::is_for_all;

    #[test]
    fn an_upstream_says_what_must_not_be_kept() {
        for (value, kept) in [
            ("", true),
            ("public, max-age=60", true),
            ("no-cache", true),
            ("max-age=0, x=no-store", true),
            ("no-store", false),
            ("public,No-Store", false),
            ("max-age=5, private=\"x\"", false),
            (" private ", false),
        ] {
            assert_eq!(is_for_all(value.as_bytes()), kept, "{value}");
        }
    }
}
