//! Prices that ingest does not have, from Jupiter: one request for all missing ones. Each is kept for a
//! moment ([`super::kept_prices`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use perijove_core::Pubkey;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::ApiCall;
use super::kept::is_for_all;
use super::kept_prices::KeptPrice;
use super::reply::{ApiContent, ApiResponse};
use crate::error::{RefusedPage, Rejection, TEXT};
use crate::jupiter::{self, Api, ApiRoute, Product};
use crate::pipeline::CacheStatus;

/// Where Jupiter has prices.
const PATH: &str = "/price/v3";

const NO_PRICES: Rejection = Rejection::ApiUnavailable {
    reason: "the upstream did not return a valid answer",
};

/// What Jupiter said about tokens, now or a moment ago.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct ToldPrices {
    /// As Jupiter wrote them.
    pub(in crate::pipeline) prices: Vec<(Pubkey, Bytes)>,
    /// How long ago the oldest of them was requested.
    pub(in crate::pipeline) age: Option<Duration>,
    /// The upstream that answered last.
    pub(in crate::pipeline) upstream: Option<Arc<str>>,
    /// No upstream was asked on behalf of this request.
    pub(in crate::pipeline) is_kept: bool,
    /// Why it is not known whether the other tokens have a price.
    pub(in crate::pipeline) failure: Option<Rejection>,
}

impl ToldPrices {
    fn add(&mut self, mint: Pubkey, kept: KeptPrice, now: Instant) {
        let age = now.saturating_duration_since(kept.at);
        self.age = self.age.max(Some(age));
        self.upstream = kept.upstream;
        self.prices.push((mint, kept.price));
    }
}

impl ApiCall {
    /// Jupiter's prices of these mints, for those that it knows. At most 50.
    pub(in crate::pipeline) async fn prices_of(mut self, mints: &[Pubkey]) -> ToldPrices {
        let mut told = ToldPrices::default();
        if self.snapshot.jupiter.fee(Api::PriceV3).is_none() {
            return told;
        }
        let (pipeline, now) = (Arc::clone(&self.pipeline), Instant::now());
        let lives = self.snapshot.config.jupiter.lifetimes.prices;
        let mut missing = Vec::new();
        for mint in mints {
            match pipeline.jupiter_prices.get(mint, lives, now) {
                Some(kept) => told.add(*mint, kept, now),
                None => missing.push(*mint),
            }
        }
        if missing.is_empty() {
            pipeline.cache.metrics.product_told(Product::Price.label());
            told.is_kept = true;
            return told;
        }
        let ids: Vec<_> = missing.iter().map(Pubkey::to_string).collect();
        self.query = format!("ids={}", ids.join(","));
        self.method = Method::GET;
        self.leave_out_what_is_not_shared();
        match self.ask_prices(&missing).await {
            Ok(answer) => {
                told.is_kept = answer.is_kept;
                told.upstream = answer.upstream.or(told.upstream);
                told.age = told.age.max(answer.age);
                told.prices.extend(answer.prices);
            }
            Err(failure) => told.failure = Some(failure),
        }
        told
    }

    /// The answer is shared by all who ask for the same at the same time, and kept: it says which tokens
    /// have no price.
    async fn ask_prices(&self, missing: &[Pubkey]) -> Result<ToldPrices, Rejection> {
        let route = ApiRoute::of(PATH).ok_or(NO_PRICES)?;
        let answer = self.kept(&route).await;
        let answer = answer.map_err(|unanswered| unanswered.rejection)?;
        let ApiContent::Whole(body) = &answer.content else {
            return Err(NO_PRICES);
        };
        if answer.status != 200 {
            return Err(Rejection::Refused(page(&answer, body)));
        }
        if jupiter::is_error(body) {
            return Err(NO_PRICES);
        }
        let prices = read(body, missing).ok_or(NO_PRICES)?;
        // Kept longer, a price would be kept twice as long.
        let mut fields = answer.fields.iter();
        let is_hit = answer.cache == Some(CacheStatus::Hit);
        let keeps =
            !is_hit && !fields.any(|(name, value)| *name == "cache-control" && !is_for_all(value));
        let (mut told, now) = (ToldPrices::default(), Instant::now());
        for (mint, price) in prices {
            let kept = KeptPrice {
                price,
                upstream: answer.upstream.clone(),
                at: now,
            };
            if keeps {
                self.pipeline.jupiter_prices.put(mint, kept.clone());
            }
            told.add(mint, kept, now);
        }
        told.upstream = answer.upstream;
        told.is_kept = is_hit;
        Ok(told)
    }
}

/// An upstream's error, for the caller.
fn page(answer: &ApiResponse, body: &Bytes) -> RefusedPage {
    let mut fields = answer.fields.iter();
    let is_json = fields.any(|(name, value)| {
        *name == "content-type" && value.starts_with(jupiter::JSON.as_bytes())
    });
    RefusedPage {
        status: answer.status,
        content_type: if is_json { jupiter::JSON } else { TEXT },
        body: body.clone(),
    }
}

/// The prices in an answer, of those requested; `None` if it is not an answer.
fn read(body: &[u8], asked: &[Pubkey]) -> Option<Vec<(Pubkey, Bytes)>> {
    let all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
    let prices = all.iter().filter_map(|(mint, price)| {
        let mint = mint.parse().ok()?;
        let told = asked.contains(&mint) && is_price(price);
        told.then(|| (mint, Bytes::copy_from_slice(price.get().as_bytes())))
    });
    Some(prices.collect())
}

/// Whether it says what the token costs. Other members are for the caller to read.
fn is_price(price: &RawValue) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct PricedToken {
        usd_price: f64,
    }
    let told = serde_json::from_str::<PricedToken>(price.get());
    price.get().starts_with('{') && told.is_ok_and(|told| told.usd_price >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prices_that_were_asked_for_are_read_and_to_the_byte() {
        let (one, other) = (Pubkey([1; 32]), Pubkey([2; 32]));
        let body =
            format!(r#"{{"{one}": {{"usdPrice": 1.50, "new":[]}}, "{other}": null, "x": {{}}}}"#);
        let told = read(body.as_bytes(), &[one, other]);
        assert_eq!(
            told.unwrap(),
            [(one, Bytes::from_static(br#"{"usdPrice": 1.50, "new":[]}"#))]
        );
        assert!(read(body.as_bytes(), &[]).unwrap().is_empty());
        assert!(read(b"<html>", &[one]).is_none());
        assert!(read(b"[]", &[one]).is_none());
        for none in [
            "{}",
            r#"{"usdPrice":null}"#,
            r#"{"usdPrice":"1"}"#,
            r#"{"usdPrice":-1}"#,
            r#"{"usdPrice":1e999}"#,
            "[1]",
            "1",
        ] {
            let body = format!(r#"{{"{one}": {none}}}"#);
            assert!(read(body.as_bytes(), &[one]).unwrap().is_empty(), "{none}");
        }
    }
}
