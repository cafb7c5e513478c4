//! The command `reconcile`: compares the prices in Redis with those of the market.

mod report;

use std::collections::HashMap;
use std::fs;

use perijove_core::{Pubkey, Secret};
use serde::Deserialize;
use tokio::time::Duration;

use crate::app::check::load;
use crate::app::clock::now;
use crate::app::console::{complain, say};
use crate::app::dead_letters::Failure;
use crate::app::reconcile::report::Report;
use crate::cli::{Exit, ReconcileArgs};
use crate::sink::market::RedisConnection;

/// How long Jupiter may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Environment variable of the key, if no file is given.
const KEY: &str = "JUPITER_API_KEY";

/// Jupiter answers for so many mints at once.
const TOGETHER: usize = 50;

/// What Jupiter says of a token.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Theirs {
    usd_price: f64,
    /// For the unscaled token, if wallets show scaled amounts; Perijove's prices are for that.
    usd_price_prescaled: Option<f64>,
}

impl Theirs {
    fn unscaled(&self) -> f64 {
        self.usd_price_prescaled.unwrap_or(self.usd_price)
    }
}

/// Compares prices one by one. Fails if one of them is missing in Redis, too old or too uncertain to
/// be served, or differs by more than the tolerance, and if nothing could be compared at all. Tokens without a price at
/// Jupiter are only listed.
pub(super) fn reconcile(what: &ReconcileArgs) -> Exit {
    let run = || -> Result<Exit, Failure> {
        let config = load(&what.source)?.config;
        let settings = config.redis.as_ref();
        let settings = settings
            .ok_or_else(|| Failure::Other("Redis is not configured; see `redis`".to_owned()))?;
        let redis = RedisConnection::new(settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        runtime.block_on(compare(what, redis))
    };
    run().unwrap_or_else(|error| {
        complain(&error.to_string());
        match error {
            Failure::Config(_) => Exit::BadConfig,
            _ => Exit::Failed,
        }
    })
}

async fn compare(what: &ReconcileArgs, mut redis: RedisConnection) -> Result<Exit, Failure> {
    let ours = redis.prices(&what.mints).await?;
    let theirs = theirs(what).await?;
    let now = now();
    let mut report = Report::new(what);
    for mint in &what.mints {
        let our = ours.get(mint);
        let their = theirs.get(&mint.to_string()).map(Theirs::unscaled);
        say(&report.line(*mint, our, their, now));
    }
    if let Some(file) = &what.metrics {
        let failed = |error| Failure::Other(format!("cannot write {}: {error}", file.display()));
        report.write(file, now).map_err(failed)?;
    }
    say(&report.summary());
    Ok(if report.is_good() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// Never from the command line, which every user of the machine can read.
fn key(what: &ReconcileArgs) -> Result<Option<Secret>, Failure> {
    let text = match &what.key_file {
        None => std::env::var(KEY).ok(),
        Some(file) => {
            let failed = |error| Failure::Other(format!("cannot read {}: {error}", file.display()));
            Some(fs::read_to_string(file).map_err(failed)?)
        }
    };
    let text = text.map(|text| text.trim().to_owned());
    Ok(text.filter(|text| !text.is_empty()).map(Secret::from))
}

async fn theirs(what: &ReconcileArgs) -> Result<HashMap<String, Theirs>, Failure> {
    let failed = |error: reqwest::Error| Failure::Other(format!("Jupiter: {error}"));
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let client = client.map_err(failed)?;
    let key = key(what)?;
    let mut theirs = HashMap::new();
    for mints in what.mints.chunks(TOGETHER) {
        let mints: Vec<String> = mints.iter().map(Pubkey::to_string).collect();
        let mut url = what.api.clone();
        url.query_pairs_mut().append_pair("ids", &mints.join(","));
        let mut request = client.get(url);
        if let Some(key) = &key {
            request = request.header("x-api-key", key.expose());
        }
        let answer = request.send().await.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        let prices: HashMap<String, Option<Theirs>> = answer.json().await.map_err(failed)?;
        theirs.extend(
            prices
                .into_iter()
                .filter_map(|(mint, price)| Some((mint, price?))),
        );
    }
    Ok(theirs)
}

#[cfg(test)]
mod tests {
    use perijove_core::market::WSOL;

    use super::*;

    #[test]
    fn jupiters_answer_is_understood() {
        let text = r#"{"So11111111111111111111111111111111111111112":{"usdPrice":147.4789340738336,
            "blockId":348004023,"decimals":9,"priceChange24h":1.29},"unknown":null,
            "scaled":{"usdPrice":10.0,"usdPricePrescaled":12.5,"blockId":1,"decimals":8}}"#;
        let prices: HashMap<String, Option<Theirs>> = serde_json::from_str(text).unwrap();
        let sol = prices[&WSOL.to_string()].as_ref().unwrap();
        assert!((sol.usd_price - 147.478_934).abs() < 1e-6);
        assert!(prices["unknown"].is_none());
        assert_eq!(
            prices["scaled"].as_ref().unwrap().unscaled().to_bits(),
            12.5_f64.to_bits()
        );
        assert_eq!(sol.unscaled().to_bits(), sol.usd_price.to_bits());
    }
}
