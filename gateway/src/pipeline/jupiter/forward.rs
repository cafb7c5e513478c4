//! A request that is sent on as it is, and which upstream gave what later requests refer to.

use tokio::time::Instant;

use super::answered::Answered;
use super::api_call::ApiCall;
use super::origins::QuoteOrigin;
use super::reply::{ApiResponse, Unanswered};
use crate::jupiter::{self, ApiRoute, Product};

impl ApiCall {
    /// Sends it to the upstreams, and remembers which one answered.
    pub(super) async fn forward(&self, route: &ApiRoute<'_>) -> Result<ApiResponse, Unanswered> {
        let (product, pipeline) = (route.product, &self.pipeline);
        let origin = match product {
            Product::Swap | Product::SwapInstructions => {
                let origin = match jupiter::quote_of_swap(&self.body) {
                    Some(print) => pipeline.origins.of_quote(print, &pipeline.cache).await,
                    None => None,
                };
                origin.and_then(|origin| origin.to_stay_with(Instant::now()))
            }
            Product::Execute => match jupiter::request_id(&self.body) {
                Some(id) => pipeline.origins.of_order(&id, &pipeline.cache).await,
                None => None,
            },
            _ => None,
        };
        let ended = self.attempt(route, origin).await?;
        self.remember(product, &ended).await;
        Ok(ended.into_response(product))
    }

    /// Remembers which upstream gave it, for this gateway and, before the answer is passed on, for those
    /// that share its Redis: a client may use it at another one within a millisecond.
    pub(super) async fn remember(&self, product: Product, ended: &Answered) {
        let (Some(body), 200..300) = (ended.whole(), ended.reply.status) else {
            return;
        };
        let (origins, cache) = (&self.pipeline.origins, &self.pipeline.cache);
        let origin = || QuoteOrigin::new(ended.upstream.name(), self.charged, Instant::now());
        match product {
            Product::Quote => {
                if let Some(facts) = &ended.facts {
                    origins.quoted(facts.print, origin(), cache).await;
                }
            }
            Product::Order => {
                if let Some(id) = jupiter::request_id(body) {
                    origins.ordered(&id, origin(), cache).await;
                }
            }
            _ => {}
        }
    }
}
