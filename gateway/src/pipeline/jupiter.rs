//! Jupiter's API as one readable list: route → refuse what makes no sense → (quotes: look up, join)
//! → choose → attempts → remember → reply. Answers pass unchanged.
//!
//! Prices that ingest knows are [`super::price`]'s.

mod attempts;
mod metrics;
mod origins;
mod quotes;
mod reply;
mod summary;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use perijove_core::Slot;
use tokio::time::Instant;

pub(super) use self::metrics::{JupiterMetrics, NOBODY};
pub(super) use self::origins::Origins;
pub(super) use self::quotes::SharedQuote;
pub use self::reply::{ApiContent, ApiResponse};

use self::attempts::{Attempts, Ended};
use super::Pipeline;
use super::cache_use::CacheUse;
use crate::error::Rejection;
use crate::jupiter::{self, Product, QuoteQuery, Route};
use crate::snapshot::Snapshot;

/// One request of Jupiter's API, whose body has been read.
#[derive(Debug)]
pub struct ApiCall {
    pub pipeline: Arc<Pipeline>,
    pub snapshot: Arc<Snapshot>,
    pub method: Method,
    pub path: String,
    pub query: String,
    /// Fields of the request that are passed on.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: Bytes,
    /// The same for all requests of a consumer, or of what it calls a session.
    pub affinity: u64,
    pub started: Instant,
    pub cache_use: CacheUse,
}

impl ApiCall {
    /// Answers it.
    ///
    /// # Errors
    /// It is refused in the gateway's own name.
    pub async fn answer(self) -> Result<ApiResponse, Rejection> {
        let posted = self.method == Method::POST;
        let route = Route::of(&self.path, posted);
        let route = route.ok_or(Rejection::NotServed {
            product: "this path",
        })?;
        let product = route.product;
        let answered = self.routed(&route).await;
        let metrics = &self.pipeline.metrics.jupiter;
        match &answered {
            Ok(response) => metrics.answered(response, self.started.elapsed()),
            Err(rejection) => metrics.refused(product, rejection),
        }
        answered
    }

    async fn routed(&self, route: &Route<'_>) -> Result<ApiResponse, Rejection> {
        route
            .check()
            .map_err(|jupiter::Ambiguous| Rejection::BadHttp {
                reason: "the path has segments that lead elsewhere",
            })?;
        if route.product == Product::Quote && self.method == Method::GET {
            let query = jupiter::without_keys(&self.query);
            let query = QuoteQuery::read(&query)?;
            return self.quote(route, &query).await;
        }
        self.forward(route).await
    }

    /// Where the cluster is.
    fn tip(&self) -> Option<Slot> {
        self.snapshot.pool.slots().map(|view| view.now)
    }

    /// When the answer is no longer of use.
    fn deadline(&self) -> Instant {
        self.started + self.snapshot.config.limits.request_timeout
    }

    /// Asks the upstreams.
    async fn attempt(
        &self,
        route: &Route<'_>,
        origin: Option<Arc<str>>,
    ) -> Result<Ended, Rejection> {
        Attempts::new(self, route, origin).run().await
    }

    /// Sends it to the upstreams, and remembers whose answer was.
    async fn forward(&self, route: &Route<'_>) -> Result<ApiResponse, Rejection> {
        let product = route.product;
        let origins = &self.pipeline.origins;
        let now = Instant::now();
        let origin = match product {
            Product::Swap | Product::SwapInstructions => {
                let print = jupiter::quote_of_swap(&self.body);
                print.and_then(|print| origins.of_quote(print, now))
            }
            Product::Execute => {
                let id = jupiter::request_id(&self.body);
                id.and_then(|id| origins.of_order(&id, now))
            }
            _ => None,
        };
        let ended = self.attempt(route, origin).await?;
        self.remember(product, &ended);
        Ok(ended.into_response(product))
    }

    fn remember(&self, product: Product, ended: &Ended) {
        let (Some(body), 200..300) = (ended.whole(), ended.reply.status) else {
            return;
        };
        let (origins, now) = (&self.pipeline.origins, Instant::now());
        match product {
            Product::Quote => {
                if let Some(facts) = &ended.facts {
                    origins.quoted(facts.print, ended.upstream.name(), now);
                }
            }
            Product::Order => {
                if let Some(id) = jupiter::request_id(body) {
                    origins.ordered(&id, ended.upstream.name(), now);
                }
            }
            _ => {}
        }
    }
}
