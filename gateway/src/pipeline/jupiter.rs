//! Jupiter's API as one readable list: route → refuse invalid requests → (quotes: look up, join) →
//! choose → attempts → remember → reply. Answers pass unchanged.
//!
//! Prices from ingest are served by [`super::price`].

mod answered;
mod api_call;
mod attempts;
mod forward;
mod kept;
mod kept_prices;
mod metrics;
mod optimize;
mod optimizer;
mod origins;
mod prices;
mod quoted_variants;
mod quotes;
mod referral;
mod reply;
mod shared_quote;
mod summary;

use std::time::Duration;

use http::Method;

pub use self::api_call::ApiCall;
pub(super) use self::kept_prices::JupiterPrices;
pub(super) use self::metrics::{JupiterMetrics, NOBODY};
pub(super) use self::optimizer::Optimizer;
pub(super) use self::origins::QuoteOrigins;
pub(super) use self::prices::ToldPrices;
pub use self::reply::{ApiContent, ApiResponse, Unanswered};
pub(super) use self::shared_quote::SharedQuote;

use crate::error::Rejection;
use crate::jupiter::{self, ApiRoute, AskedSwap, AskedTransaction, Product, QuoteQuery};
use crate::pipeline::Pipeline;

impl ApiCall {
    /// Answers it.
    ///
    /// # Errors
    /// It is refused by the gateway itself.
    pub async fn answer(mut self) -> Result<ApiResponse, Unanswered> {
        self.query = jupiter::without_keys(&self.query);
        let path = std::mem::take(&mut self.path);
        let route = ApiRoute::of(&path);
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

    async fn routed(&mut self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        route
            .check()
            .map_err(|jupiter::Ambiguous| Rejection::BadHttp {
                reason: "the path must not contain `.`, `..` or empty segments",
            })?;
        if let Some(allowed) = route.product.verb()
            && self.method != allowed
        {
            let allowed = route.product.verbs();
            return Err(Rejection::ApiMethod { allowed }.into());
        }
        let reads = self.method == Method::GET;
        let note = match route.product {
            Product::Quote => return self.any_quote(route).await,
            Product::Order | Product::Build => {
                let asked = jupiter::check_order(route.api, route.product, &self.query);
                self.asked = Some(asked.map_err(Rejection::from)?);
                self.built_for = Some(AskedTransaction::of_order(&self.query));
                if route.product == Product::Order {
                    self.refer()
                } else {
                    None
                }
            }
            Product::Swap | Product::SwapInstructions => {
                jupiter::check_swap(&self.body).map_err(Rejection::from)?;
                self.built_for = Some(AskedTransaction::of(&self.body));
                self.take_fee().await
            }
            Product::Labels | Product::Tokens | Product::Price if reads => {
                return self.kept(route).await;
            }
            _ => None,
        };
        let mut response = self.forward(route).await?;
        response.notes.extend(note);
        Ok(response)
    }

    /// A quote, or the best of several.
    async fn any_quote(&mut self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        let asked = QuoteQuery::read(&self.query).map_err(Rejection::from)?;
        self.asked = Some(AskedSwap::from(&asked));
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
}

impl Pipeline {
    /// Counts a request whose client has gone before there was an answer.
    pub fn api_client_gone(&self, product: Product, took: Duration) {
        self.metrics.jupiter.client_gone(product, took);
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
