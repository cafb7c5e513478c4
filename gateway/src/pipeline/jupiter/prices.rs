//! Prices that ingest does not have, from Jupiter: one request for all missing ones. Each is kept for a
//! moment ([`super::kept_prices`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use perijove_core::Pubkey;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::ApiCall;
use super::kept::is_for_all;
use super::reply::ApiContent;
use crate::jupiter::{Api, ApiRoute};
use crate::pipeline::CacheStatus;

/// Where Jupiter has prices.
const PATH: &str = "/price/v3";

impl ApiCall {
    /// Jupiter's prices of these mints, each as Jupiter wrote it, for those that it knows. At most
    /// 50.
    pub(in crate::pipeline) async fn prices_of(mut self, mints: &[Pubkey]) -> Vec<(Pubkey, Bytes)> {
        if self.snapshot.jupiter.fee(Api::PriceV3).is_none() {
            return Vec::new();
        }
        let (pipeline, now) = (Arc::clone(&self.pipeline), Instant::now());
        let lives = self.snapshot.config.jupiter.lifetimes.prices;
        let kept = |mint: &Pubkey| pipeline.jupiter_prices.get(mint, lives, now);
        let mut told = Vec::with_capacity(mints.len());
        let mut missing = Vec::new();
        for mint in mints {
            match kept(mint) {
                Some(price) => told.push((*mint, price)),
                None => missing.push(*mint),
            }
        }
        if missing.is_empty() {
            return told;
        }
        let ids: Vec<_> = missing.iter().map(Pubkey::to_string).collect();
        self.query = format!("ids={}", ids.join(","));
        self.method = Method::GET;
        self.leave_out_what_is_not_shared();
        let Some(route) = ApiRoute::of(PATH) else {
            return told;
        };
        // No answer from Jupiter is not an error: the price is then unknown. The answer is shared by all
        // who ask for the same at the same time, and kept: it says which tokens have no price.
        let Ok(answer) = self.kept(&route).await else {
            return told;
        };
        let (ApiContent::Whole(body), 200) = (&answer.content, answer.status) else {
            return told;
        };
        let mut fields = answer.fields.iter();
        // Kept longer, a price would be kept twice as long.
        let is_kept = answer.cache != Some(CacheStatus::Hit)
            && !fields.any(|(name, value)| *name == "cache-control" && !is_for_all(value));
        for (mint, price) in read(body, &missing) {
            let kept = &pipeline.jupiter_prices;
            if is_kept {
                kept.put(mint, price.clone(), Instant::now());
            }
            told.push((mint, price));
        }
        told
    }
}

/// The prices in an answer, of those requested.
fn read(body: &[u8], asked: &[Pubkey]) -> Vec<(Pubkey, Bytes)> {
    let all: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).unwrap_or_default();
    let prices = all.iter().filter_map(|(mint, price)| {
        let mint = mint.parse().ok()?;
        let told = asked.contains(&mint) && is_price(price);
        told.then(|| (mint, Bytes::copy_from_slice(price.get().as_bytes())))
    });
    prices.collect()
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
            told,
            [(one, Bytes::from_static(br#"{"usdPrice": 1.50, "new":[]}"#))]
        );
        assert!(read(body.as_bytes(), &[]).is_empty());
        assert!(read(b"<html>", &[one]).is_empty());
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
            assert!(read(body.as_bytes(), &[one]).is_empty(), "{none}");
        }
    }
}
