//! Quotes: the parameters, the refusals and the answers.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Settings;
use super::market::{BPS, DEXES, Market};
use super::reply::Reply;
use super::route::{Hop, Mode, NoRoute, Wish, best};

/// A request for a quote.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub wish: Wish,
    pub slippage_bps: u64,
    pub platform_fee_bps: Option<u64>,
    pub instruction_version: Option<String>,
}

/// Parameters by name, repeated ones in the order they came.
pub type Query = HashMap<String, Vec<String>>;

/// Reads the query of a request target.
pub fn query(target: &str) -> Query {
    let text = target.split_once('?').map_or("", |(_, query)| query);
    let mut query = Query::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        let values = query.entry(name.into_owned()).or_default();
        values.push(value.into_owned());
    }
    query
}

/// The last value of a parameter.
pub fn one<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query.get(name)?.last().map(String::as_str)
}

impl Request {
    /// Reads a query, with the defaults of v1.
    pub fn read(query: &Query) -> Result<Self, Reply> {
        let mode = match one(query, "swapMode") {
            None | Some("ExactIn") => Mode::ExactIn,
            Some("ExactOut") => Mode::ExactOut,
            Some(other) => {
                let why = format!("Invalid swap mode `{other}`");
                return Err(Reply::unreadable("swapMode", &why));
            }
        };
        let amount = number(query, "amount")?
            .ok_or_else(|| Reply::unreadable("amount", "missing field `amount`"))?;
        let wish = Wish {
            input: mint(query, "inputMint")?,
            output: mint(query, "outputMint")?,
            amount,
            mode,
            direct: flag(query, "onlyDirectRoutes")?.unwrap_or(false),
            restricted: flag(query, "restrictIntermediateTokens")?.unwrap_or(true),
            dexes: list(query, "dexes"),
            excluded: list(query, "excludeDexes"),
            max_accounts: number(query, "maxAccounts")?.unwrap_or(64),
        };
        Ok(Self {
            wish,
            slippage_bps: number(query, "slippageBps")?.unwrap_or(50),
            platform_fee_bps: number(query, "platformFeeBps")?,
            instruction_version: one(query, "instructionVersion").map(str::to_owned),
        })
    }

    /// The answer at the end of a slot.
    pub fn answer(&self, market: &Market, slot: u64, settings: &Settings) -> Result<Value, Reply> {
        let wish = &self.wish;
        if wish.input == wish.output {
            return Err(Reply::refusal(
                "Input and output mints are not allowed to be equal",
                "CIRCULAR_ARBITRAGE_IS_DISABLED",
            ));
        }
        for mint in [&wish.input, &wish.output] {
            if market.token(mint).is_none() {
                let error = format!("The token {mint} is not tradable");
                return Err(Reply::refusal(&error, "TOKEN_NOT_TRADABLE"));
            }
        }
        if wish.max_accounts > 64 {
            return Err(Reply::refusal(
                "maxAccounts must not be greater than 64",
                "MAX_ACCOUNT_GREATER_THAN_MAX",
            ));
        }
        let fee_bps = u128::from(settings.fee_bps + self.platform_fee_bps.unwrap_or(0)).min(BPS);
        let mut sought = wish.clone();
        if !settings.dexes.is_empty() {
            let unknown = DEXES.iter().map(|(label, _, _)| *label);
            let unknown = unknown.filter(|label| !settings.dexes.iter().any(|one| one == label));
            sought.excluded.extend(unknown.map(str::to_owned));
        }
        if wish.mode == Mode::ExactOut {
            sought.amount = grossed_up(wish.amount, fee_bps);
        }
        let hops = best(market, slot, &sought).map_err(refused)?;
        Ok(self.told(market, slot, fee_bps, &hops))
    }

    fn told(&self, market: &Market, slot: u64, fee_bps: u128, hops: &[Hop]) -> Value {
        let given = hops.first().map_or(0, |hop| hop.given);
        let gross = hops.last().map_or(0, |hop| hop.taken);
        let taken = match self.wish.mode {
            Mode::ExactIn => gross - gross * fee_bps / BPS,
            Mode::ExactOut => u128::from(self.wish.amount).min(gross),
        };
        let fee = gross - taken;
        let slippage = u128::from(self.slippage_bps).min(BPS);
        let threshold = match self.wish.mode {
            Mode::ExactIn => taken * (BPS - slippage) / BPS,
            Mode::ExactOut => (given * (BPS + slippage)).div_ceil(BPS),
        };
        let platform_fee = (fee_bps > 0).then(
            || json!({ "amount": fee.to_string(), "feeBps": u64::try_from(fee_bps).unwrap_or(0) }),
        );
        let mut quote = json!({
            "inputMint": self.wish.input,
            "inAmount": given.to_string(),
            "outputMint": self.wish.output,
            "outAmount": taken.to_string(),
            "otherAmountThreshold": threshold.to_string(),
            "swapMode": self.wish.mode.label(),
            "slippageBps": self.slippage_bps,
            "platformFee": platform_fee,
            "priceImpactPct": impact(market, slot, hops),
            "routePlan": hops.iter().map(|hop| leg(market, hop)).collect::<Vec<_>>(),
            "contextSlot": slot,
            "timeTaken": 0.001,
        });
        if let (Some(version), Some(members)) = (&self.instruction_version, quote.as_object_mut()) {
            members.insert("instructionVersion".to_owned(), json!(version));
        }
        quote
    }
}

/// What must come out so that the amount is left after the fee.
fn grossed_up(amount: u64, fee_bps: u128) -> u64 {
    let left = (BPS - fee_bps).max(1);
    let gross = (u128::from(amount) * BPS).div_ceil(left);
    u64::try_from(gross).unwrap_or(u64::MAX)
}

fn refused(why: NoRoute) -> Reply {
    match why {
        NoRoute::NotFound => Reply::refusal("Could not find any route", "COULD_NOT_FIND_ANY_ROUTE"),
        NoRoute::TooMuch => Reply::refusal(
            "The route plan does not consume all the amount, please lower your input amount",
            "ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT",
        ),
    }
}

fn leg(market: &Market, hop: &Hop) -> Value {
    let pool = market.pools().get(hop.pool);
    json!({
        "swapInfo": {
            "ammKey": pool.map(|pool| pool.address.as_str()),
            "label": pool.map(super::market::Pool::label),
            "inputMint": hop.input,
            "outputMint": hop.output,
            "inAmount": hop.given.to_string(),
            "outAmount": hop.taken.to_string(),
            "feeAmount": hop.fee.to_string(),
            "feeMint": hop.input,
        },
        "percent": 100,
        "bps": 10_000,
    })
}

/// How much worse the price is than that of a tiny swap over the same pools, as a text.
#[expect(clippy::cast_precision_loss, reason = "a measure for people")]
fn impact(market: &Market, slot: u64, hops: &[Hop]) -> String {
    let mut kept = 1.0_f64;
    for hop in hops {
        let held = market.holding(hop.pool, slot);
        let pool = market.pools().get(hop.pool);
        if let (Some(held), Some(pool)) = (held, pool) {
            let [left, right] = held.reserves;
            let into = if pool.mints.first() == Some(&hop.input) {
                left
            } else {
                right
            };
            kept *= into as f64 / (into + hop.given) as f64;
        }
    }
    format!("{}", 1.0 - kept)
}

fn number(query: &Query, name: &str) -> Result<Option<u64>, Reply> {
    let Some(text) = one(query, name) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|error| Reply::unreadable(name, &format!("{error}")))
}

fn flag(query: &Query, name: &str) -> Result<Option<bool>, Reply> {
    match one(query, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Reply::unreadable(
            name,
            "provided string was not `true` or `false`",
        )),
    }
}

fn mint(query: &Query, name: &str) -> Result<String, Reply> {
    let text = one(query, name)
        .ok_or_else(|| Reply::unreadable(name, &format!("missing field `{name}`")))?;
    let bytes = (text.len() <= 44).then(|| bs58::decode(text).into_vec());
    match bytes {
        Some(Ok(bytes)) if bytes.len() == 32 => Ok(text.to_owned()),
        _ => Err(Reply::unreadable(name, "Invalid")),
    }
}

/// Comma-separated or repeated.
fn list(query: &Query, name: &str) -> Vec<String> {
    let values = query.get(name).into_iter().flatten();
    let parts = values.flat_map(|value| value.split(','));
    parts
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jupiter::tokens::{SOL, USDC};

    fn ask(market: &Market, more: &str, settings: &Settings) -> Result<Value, Reply> {
        let target = format!("/quote?inputMint={SOL}&outputMint={USDC}&amount=1000000000{more}");
        Request::read(&query(&target))?.answer(market, 700, settings)
    }

    fn amount(quote: &Value, name: &str) -> u128 {
        quote[name].as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn a_quote_has_what_the_documentation_says() {
        let market = Market::new();
        let quote = ask(&market, "&slippageBps=100", &Settings::default()).unwrap();
        assert_eq!(quote["inAmount"], "1000000000");
        assert_eq!(quote["contextSlot"], 700);
        assert!(quote["platformFee"].is_null());
        let out = amount(&quote, "outAmount");
        assert!((140_000_000..150_000_000).contains(&out), "{out}");
        assert_eq!(amount(&quote, "otherAmountThreshold"), out * 99 / 100);
        let hop = &quote["routePlan"][0]["swapInfo"];
        assert!(hop["ammKey"].is_string() && hop["label"].is_string());
        assert_eq!(hop["outAmount"], quote["outAmount"]);
    }

    #[test]
    fn fees_are_taken_from_the_output_and_are_the_sum_of_the_servers_and_the_callers() {
        let market = Market::new();
        let plain = ask(&market, "", &Settings::default()).unwrap();
        let dear = Settings {
            fee_bps: 20,
            ..Settings::default()
        };
        let charged = ask(&market, "&platformFeeBps=10", &dear).unwrap();
        assert_eq!(charged["platformFee"]["feeBps"], 30);
        let fee: u128 = charged["platformFee"]["amount"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(
            amount(&charged, "outAmount") + fee,
            amount(&plain, "outAmount")
        );
        let exact = "&swapMode=ExactOut";
        let plain = ask(&market, exact, &Settings::default()).unwrap();
        let charged = ask(&market, exact, &dear).unwrap();
        assert_eq!(amount(&charged, "outAmount"), amount(&plain, "outAmount"));
        assert!(amount(&charged, "inAmount") > amount(&plain, "inAmount"));
    }

    #[test]
    fn dexes_are_named_in_any_of_the_usual_ways() {
        let market = Market::new();
        for dexes in ["&dexes=Orca+V2,Raydium", "&dexes=Orca%20V2&dexes=Raydium"] {
            let target = format!("/quote?inputMint={SOL}&outputMint={USDC}&amount=1{dexes}");
            let request = Request::read(&query(&target)).unwrap();
            assert_eq!(request.wish.dexes, ["Orca V2", "Raydium"]);
        }
        let only = ask(&market, "&dexes=Orca+V2", &Settings::default()).unwrap();
        assert_eq!(only["routePlan"][0]["swapInfo"]["label"], "Orca V2");
        let few = Settings {
            dexes: vec!["Whirlpool".to_owned()],
            ..Settings::default()
        };
        let only = ask(&market, "", &few).unwrap();
        assert_eq!(only["routePlan"][0]["swapInfo"]["label"], "Whirlpool");
    }

    #[test]
    fn what_cannot_be_is_refused_in_jupiters_shape() {
        let market = Market::new();
        let other = crate::sandbox::accounts::made_up(1);
        for (target, code) in [
            (
                format!("?inputMint={SOL}&outputMint={SOL}&amount=1"),
                Some("CIRCULAR_ARBITRAGE_IS_DISABLED"),
            ),
            (
                format!("?inputMint={SOL}&outputMint={other}&amount=1"),
                Some("TOKEN_NOT_TRADABLE"),
            ),
            (
                format!("?inputMint={SOL}&outputMint={USDC}&amount=1&dexes=None"),
                Some("COULD_NOT_FIND_ANY_ROUTE"),
            ),
            (
                format!("?inputMint={SOL}&outputMint={USDC}&amount=1e9"),
                None,
            ),
            (format!("?inputMint={SOL}&outputMint={USDC}"), None),
            (format!("?inputMint=x&outputMint={USDC}&amount=1"), None),
            (
                format!("?inputMint={SOL}&outputMint={USDC}&amount=1&onlyDirectRoutes=yes"),
                None,
            ),
        ] {
            let settings = Settings::default();
            let answer = Request::read(&query(&target))
                .and_then(|request| request.answer(&market, 700, &settings));
            let refusal = answer.unwrap_err();
            assert_eq!(refusal.status, 400, "{target}");
            let body: Value = serde_json::from_str(&refusal.body).unwrap();
            assert_eq!(body["errorCode"].as_str(), code, "{target}");
        }
    }
}
