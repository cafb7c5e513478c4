//! Jupiter's API as one readable list: route → refuse invalid requests → (quotes: look up, join) →
//! choose → attempts → remember → reply. Answers pass unchanged.
//!
//! Prices from ingest are served by [`super::price`].

mod answered;
mod attempts;
mod kept;
mod metrics;
mod optimize;
mod origins;
mod prices;
mod quoted_variants;
mod quotes;
mod referral;
mod reply;
mod shared_quote;
mod summary;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use perijove_core::Slot;
use tokio::time::Instant;

pub(super) use self::metrics::{JupiterMetrics, NOBODY};
pub(super) use self::optimize::Optimizer;
pub(super) use self::origins::QuoteOrigins;
pub(super) use self::prices::JupiterPrices;
pub use self::reply::{ApiContent, ApiResponse, Unanswered};
pub(super) use self::shared_quote::SharedQuote;

use self::answered::Answered;
use self::origins::QuoteOrigin;
use super::Pipeline;
use super::cache_use::CacheUse;
use crate::config;
use crate::context::RequestContext;
use crate::error::Rejection;
use crate::jupiter::{self, ApiRoute, Product, QuoteQuery};
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
    /// Equal for all requests of a consumer, or of what it calls a session.
    pub affinity: u64,
    pub context: Arc<RequestContext>,
    pub cache_use: CacheUse,
    /// The best of several quotes is requested.
    pub optimize: bool,
    /// The operator's fee was added.
    pub charged: bool,
}

impl ApiCall {
    /// Answers it.
    ///
    /// # Errors
    /// It is refused by the gateway itself.
    pub async fn answer(mut self) -> Result<ApiResponse, Unanswered> {
        self.query = jupiter::without_keys(&self.query);
        let path = std::mem::take(&mut self.path);
        let posted = self.method == Method::POST;
        let route = ApiRoute::of(&path, posted);
        let route = route.ok_or(Rejection::NotServed {
            product: "this path",
        })?;
        if is_shared(&self.method, route.product) {
            self.leave_out_what_is_not_shared();
        }
        let answered = self.routed(&route).await;
        let metrics = &self.pipeline.metrics.jupiter;
        match &answered {
            Ok(response) => metrics.answered(response, self.context.started.elapsed()),
            Err(refused) => metrics.refused(route.product, &refused.rejection),
        }
        answered
    }

    /// Other callers that share the answer have not sent the other fields, so these must not
    /// matter.
    fn leave_out_what_is_not_shared(&mut self) {
        self.body = Bytes::new();
        self.fields = vec![("accept", Bytes::from_static(jupiter::JSON.as_bytes()))];
    }

    async fn routed(&mut self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        route
            .check()
            .map_err(|jupiter::Ambiguous| Rejection::BadHttp {
                reason: "the path must not contain `.`, `..` or empty segments",
            })?;
        if let Some(allowed) = route.product.verb()
            && self.method != allowed
        {
            return Err(Rejection::ApiMethod { allowed }.into());
        }
        let reads = self.method == Method::GET;
        let note = match route.product {
            Product::Quote => return self.any_quote(route).await,
            Product::Order => {
                jupiter::check_order(route.api, route.product, &self.query)
                    .map_err(Rejection::from)?;
                self.refer()
            }
            Product::Build => {
                jupiter::check_order(route.api, route.product, &self.query)
                    .map_err(Rejection::from)?;
                None
            }
            Product::Swap | Product::SwapInstructions => {
                jupiter::check_swap(&self.body).map_err(Rejection::from)?;
                self.take_fee().await
            }
            Product::Labels | Product::Tokens if reads => return self.kept(route).await,
            _ => None,
        };
        let mut response = self.forward(route).await?;
        response.notes.extend(note);
        Ok(response)
    }

    /// A quote, or the best of several.
    async fn any_quote(&mut self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        let asked = QuoteQuery::read(&self.query).map_err(Rejection::from)?;
        let (query, note) = self.with_fee(asked)?;
        let mut response = if self.optimize && self.optimizer().enabled {
            let (query, text) = self.with_slippage(query)?;
            Box::pin(self.best_of(route, &text, &query)).await?
        } else {
            self.quote(route, &query).await?
        };
        response.notes.extend(note);
        Ok(response)
    }

    fn optimizer(&self) -> &config::Optimizer {
        &self.snapshot.config.jupiter.optimizer
    }

    /// The newest slot of the cluster.
    fn tip(&self) -> Option<Slot> {
        self.snapshot.pool.slots().map(|view| view.now)
    }

    /// When the answer is no longer useful.
    fn deadline(&self) -> Instant {
        self.context.deadline
    }

    /// Sends it to the upstreams, and remembers which one answered.
    async fn forward(&self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        let product = route.product;
        let origin = match product {
            Product::Swap | Product::SwapInstructions => {
                let origin = match jupiter::quote_of_swap(&self.body) {
                    Some(print) => self.pipeline.origin_of_quote(print).await,
                    None => None,
                };
                origin.and_then(|origin| origin.to_stay_with(Instant::now()))
            }
            Product::Execute => match jupiter::request_id(&self.body) {
                Some(id) => self.pipeline.origin_of_order(&id).await,
                None => None,
            },
            _ => None,
        };
        let ended = self.attempt(route, origin).await?;
        self.remember(product, &ended);
        Ok(ended.into_response(product))
    }

    fn remember(&self, product: Product, ended: &Answered) {
        let (Some(body), 200..300) = (ended.whole(), ended.reply.status) else {
            return;
        };
        let origin = || QuoteOrigin::new(ended.upstream.name(), self.charged, Instant::now());
        match product {
            Product::Quote => {
                if let Some(facts) = &ended.facts {
                    self.pipeline.quoted(facts.print, origin());
                }
            }
            Product::Order => {
                if let Some(id) = jupiter::request_id(body) {
                    self.pipeline.ordered(&id, origin());
                }
            }
            _ => {}
        }
    }
}

/// Whether answers are kept, or shared by several callers.
fn is_shared(method: &Method, product: Product) -> bool {
    let read = matches!(
        product,
        Product::Quote | Product::Labels | Product::Tokens | Product::Price
    );
    *method == Method::GET && read
}
