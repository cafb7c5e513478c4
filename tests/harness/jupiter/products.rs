//! The APIs beside quotes: transactions for them, orders that the API itself sends, prices, tokens.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::market::{BPS, DEXES, Market};
use super::quote::{Query, Request, one};
use super::reply::Reply;
use super::server::Server;
use super::swap::Order;
use super::tokens::{Token, USDC};
use crate::sandbox::chain::{mix, time};
use crate::sandbox::transaction::Transaction;

/// Most ids of one call for prices.
const MOST_PRICES: usize = 50;
/// The programs of the system, which any wallet's address looks like.
const NOBODY: &str = "11111111111111111111111111111111";

/// An order that was given out, and how often it was executed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issued {
    pub quote: Value,
    pub executed: u32,
}

impl Server {
    pub(super) async fn quote(&self, query: &Query) -> Result<Reply, Reply> {
        Ok(Reply::ok(&self.quoted(query).await?))
    }

    async fn quoted(&self, query: &Query) -> Result<Value, Reply> {
        let slot = self.market_slot().await?;
        Request::read(query)?.answer(self.market(), slot, self.settings())
    }

    /// `/swap` and `/swap-instructions`.
    pub(super) async fn swap(&self, body: &[u8], instructions: bool) -> Result<Reply, Reply> {
        let body: Value = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let Some(payer) = text("userPublicKey") else {
            return Err(Reply::text(422, "missing field `userPublicKey`"));
        };
        let Some(quote) = body.get("quoteResponse").filter(|quote| quote.is_object()) else {
            return Err(Reply::text(422, "missing field `quoteResponse`"));
        };
        let pools = pools_of(quote);
        let legacy = body.get("asLegacyTransaction") == Some(&json!(true));
        let (built, order_height) = self.build(payer, &pools, legacy).await?;
        if instructions {
            let order = Order {
                payer,
                pools: &pools,
                blockhash: NOBODY,
                legacy,
            };
            return Ok(Reply::ok(&order.instructions()));
        }
        Ok(Reply::ok(&json!({
            "swapTransaction": built,
            "lastValidBlockHeight": order_height,
            "prioritizationFeeLamports": 0,
            "computeUnitLimit": 1_400_000,
            "prioritizationType": { "computeBudget": {
                "microLamports": 0,
                "estimatedMicroLamports": 0,
            } },
            "dynamicSlippageReport": null,
            "simulationError": null,
        })))
    }

    async fn build(
        &self,
        payer: &str,
        pools: &[String],
        legacy: bool,
    ) -> Result<(String, u64), Reply> {
        let (blockhash, height) = self
            .chain()
            .blockhash()
            .await
            .ok_or_else(|| Reply::text(500, "Failed to get a blockhash"))?;
        let order = Order {
            payer,
            pools,
            blockhash: &blockhash,
            legacy,
        };
        let built = order.transaction().ok_or_else(|| {
            Reply::refusal(
                "Failed to get swap and account metas",
                "FAILED_TO_GET_SWAP_AND_ACCOUNT_METAS",
            )
        })?;
        Ok((built, height))
    }

    /// `/order` of Ultra and v2.
    pub(super) async fn order(&self, query: &Query) -> Result<Reply, Reply> {
        let mut quote = self.quoted(query).await.map_err(|refusal| {
            let said: Value = serde_json::from_str(&refusal.body).unwrap_or_default();
            let error = said.get("error").cloned().unwrap_or_default();
            Reply::json(
                refusal.status,
                &json!({ "requestId": null, "error": error }),
            )
        })?;
        let request_id = self.issue(&quote);
        let taker = one(query, "taker");
        let (transaction, height) = match taker {
            Some(taker) => {
                let (built, height) = self.build(taker, &pools_of(&quote), false).await?;
                (json!(built), json!(height))
            }
            None => (Value::Null, Value::Null),
        };
        if let Some(members) = quote.as_object_mut() {
            let fee = members.get("platformFee").and_then(|fee| fee.get("feeBps"));
            let fee = fee.cloned().unwrap_or(json!(0));
            for (name, value) in [
                ("requestId", json!(request_id)),
                ("transaction", transaction),
                ("lastValidBlockHeight", height),
                ("taker", json!(taker)),
                ("router", json!("iris")),
                ("mode", json!("ultra")),
                ("swapType", json!("aggregator")),
                ("gasless", json!(false)),
                ("feeBps", fee),
                ("feeMint", json!(one(query, "outputMint"))),
                ("signatureFeeLamports", json!(5_000)),
                ("prioritizationFeeLamports", json!(0)),
                ("rentFeeLamports", json!(0)),
                ("inUsdValue", Value::Null),
                ("outUsdValue", Value::Null),
                ("totalTime", json!(1)),
            ] {
                members.insert(name.to_owned(), value);
            }
        }
        Ok(Reply::ok(&quote))
    }

    /// `/execute` of Ultra and v2.
    pub(super) async fn execute(&self, body: &[u8]) -> Result<Reply, Reply> {
        let body: Value = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(issued) = self.executed(text("requestId")) else {
            return Ok(failed(-1, "Missing cached order"));
        };
        let bytes = STANDARD.decode(text("signedTransaction")).ok();
        let Some(bytes) = bytes.filter(|bytes| Transaction::read(bytes).is_some()) else {
            return Ok(failed(-2, "Invalid signed transaction"));
        };
        let signature = match self.chain().land(&bytes).await {
            Ok(signature) => signature,
            Err(error) => return Ok(failed(-1_000, &error)),
        };
        let amount = |name: &str| issued.quote.get(name).cloned().unwrap_or_default();
        Ok(Reply::ok(&json!({
            "status": "Success",
            "signature": signature,
            "slot": self.chain().slot().await.map(|slot| slot.to_string()),
            "code": 0,
            "totalInputAmount": amount("inAmount"),
            "totalOutputAmount": amount("outAmount"),
            "inputAmountResult": amount("inAmount"),
            "outputAmountResult": amount("outAmount"),
            "swapEvents": [],
        })))
    }

    /// `/price/v3`.
    pub(super) async fn prices(&self, query: &Query) -> Result<Reply, Reply> {
        let slot = self.market_slot().await?;
        let ids = one(query, "ids").ok_or_else(|| Reply::text(400, "missing field `ids`"))?;
        let ids: Vec<_> = ids.split(',').filter(|id| !id.is_empty()).collect();
        if ids.len() > MOST_PRICES {
            let message = format!("Too many ids requested; max {MOST_PRICES}");
            return Err(Reply::json(400, &json!({ "error": message })));
        }
        let mut prices = Map::new();
        for id in ids {
            let token = self.market().token(id);
            if let Some((token, price)) =
                token.and_then(|token| Some((token, price(self.market(), token, slot)?)))
            {
                let value = json!({
                    "usdPrice": price,
                    "blockId": slot,
                    "decimals": token.decimals,
                    "priceChange24h": 0.5,
                    "liquidity": liquidity(self.market(), token, slot),
                    "createdAt": "2024-06-05T08:55:25.527Z",
                });
                prices.insert(id.to_owned(), value);
            }
        }
        Ok(Reply::ok(&Value::Object(prices)))
    }

    /// `/tokens/v2/*`; `None` if there is no such path.
    pub(super) async fn tokens(&self, path: &str, query: &Query) -> Result<Option<Reply>, Reply> {
        let slot = self.market_slot().await?;
        let all = self.market().tokens();
        let chosen: Vec<&Token> = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["search"] => {
                let wanted = one(query, "query").unwrap_or_default();
                let wanted: Vec<_> = wanted.split(',').collect();
                let named = |token: &&Token| {
                    let hit = |text: &&str| token.mint == *text || token.symbol == *text;
                    wanted.iter().any(hit)
                };
                all.iter().filter(named).take(100).collect()
            }
            ["tag"] => match one(query, "query") {
                Some("verified") => all.iter().take(5).collect(),
                Some("lst") => Vec::new(),
                _ => return Err(Reply::json(400, &json!({ "error": "Invalid tag" }))),
            },
            ["recent"] => all.iter().rev().take(30).collect(),
            [
                "toporganicscore" | "toptraded" | "toptrending",
                "5m" | "1h" | "6h" | "24h",
            ] => all.iter().take(50).collect(),
            _ => return Ok(None),
        };
        let list: Vec<_> = chosen
            .into_iter()
            .map(|token| information(self.market(), token, slot))
            .collect();
        Ok(Some(Reply::ok(&json!(list))))
    }
}

/// `/program-id-to-label`.
pub(super) fn labels() -> Reply {
    let labels: BTreeMap<_, _> = DEXES.iter().map(|(label, id, _)| (*id, *label)).collect();
    Reply::ok(&json!(labels))
}

/// The addresses of the pools of a quote.
fn pools_of(quote: &Value) -> Vec<String> {
    let legs = quote.get("routePlan").and_then(Value::as_array);
    let keys = legs.into_iter().flatten();
    let mut pools: Vec<String> = Vec::new();
    for leg in keys {
        let key = leg.pointer("/swapInfo/ammKey").and_then(Value::as_str);
        if let Some(key) = key.filter(|key| !pools.iter().any(|one| one == key)) {
            pools.push(key.to_owned());
        }
    }
    pools
}

fn unreadable(error: &serde_json::Error) -> Reply {
    Reply::text(
        422,
        &format!("Failed to parse the request body as JSON: {error}"),
    )
}

fn failed(code: i64, error: &str) -> Reply {
    Reply::ok(&json!({ "status": "Failed", "code": code, "error": error, "signature": null }))
}

/// What a token costs in its deepest pool with USDC.
#[expect(
    clippy::cast_precision_loss,
    reason = "prices are floating point numbers"
)]
fn price(market: &Market, token: &Token, slot: u64) -> Option<f64> {
    if token.mint == USDC {
        return Some(1.0);
    }
    let depths = market
        .pools()
        .iter()
        .enumerate()
        .filter_map(|(number, pool)| {
            let [left, right] = &pool.mints;
            if *left != token.mint || right != USDC {
                return None;
            }
            let [left, right] = market.holding(number, slot)?.reserves;
            Some((right, left))
        });
    let (dollars, units) = depths.max()?;
    let dollars = dollars as f64 / 1e6;
    let units = units as f64 / 10_f64.powi(i32::try_from(token.decimals).ok()?);
    Some(dollars / units)
}

/// The dollars in the pools of a token with USDC, both sides.
#[expect(clippy::cast_precision_loss, reason = "a measure")]
fn liquidity(market: &Market, token: &Token, slot: u64) -> f64 {
    let pools = market.pools().iter().enumerate();
    let mut dollars = 0;
    for (number, pool) in pools {
        let [left, right] = &pool.mints;
        if *left == token.mint
            && right == USDC
            && let Some(held) = market.holding(number, slot)
        {
            let [_, usdc] = held.reserves;
            dollars += 2 * usdc;
        }
    }
    (dollars * 100 / BPS) as f64 / 10_000.0
}

fn information(market: &Market, token: &Token, slot: u64) -> Value {
    json!({
        "id": token.mint,
        "name": token.symbol,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "tokenProgram": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "isVerified": token.symbol.len() > 2,
        "tags": ["verified"],
        "organicScore": 90.5,
        "organicScoreLabel": "high",
        "usdPrice": price(market, token, slot),
        "liquidity": liquidity(market, token, slot),
        "priceBlockId": slot,
        "updatedAt": time(slot).to_string(),
    })
}

/// A request's id: a UUID's shape.
pub(super) fn request_id(server: usize, number: u64) -> String {
    let left = mix(mix(number.wrapping_add(1)) ^ server as u64);
    let right = mix(left);
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        left >> 32,
        (left >> 16) & 0xffff,
        left & 0xfff,
        right >> 52,
        right & 0xffff_ffff_ffff
    )
}
