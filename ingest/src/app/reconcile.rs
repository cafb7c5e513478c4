//! The command `reconcile`: are the prices in Redis those of the market?

use std::collections::HashMap;

use perijove_core::Pubkey;
use perijove_core::redis::Latest;
use serde::Deserialize;
use tokio::time::Duration;

use crate::app::check::load;
use crate::app::letters::Failure;
use crate::app::{complain, now, say};
use crate::cli::{Exit, Reconcile};
use crate::project::{USDC, USDT, WSOL};
use crate::sink::market::Link;

/// How long Jupiter may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Jupiter answers for so many mints at once.
const TOGETHER: usize = 50;

/// What Jupiter says of a token.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Theirs {
    usd_price: f64,
}

/// Compares prices one by one. Fails when one of them differs by more than is tolerated; those that
/// either side does not know are named only.
pub(super) fn reconcile(what: &Reconcile) -> Exit {
    let run = || -> Result<Exit, Failure> {
        let config = load(&what.source)?.config;
        let settings = config.redis.as_ref();
        let settings = settings.ok_or_else(|| Failure::Other("there is no Redis".to_owned()))?;
        let link = Link::new(settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        runtime.block_on(compare(what, link))
    };
    run().unwrap_or_else(|error| {
        complain(&error.to_string());
        match error {
            Failure::Config(_) => Exit::BadConfig,
            _ => Exit::Failed,
        }
    })
}

async fn compare(what: &Reconcile, mut link: Link) -> Result<Exit, Failure> {
    let mut asked = what.mints.clone();
    asked.push(WSOL);
    let ours: HashMap<Pubkey, Latest> = link.prices(&asked).await?;
    let theirs = theirs(what).await?;
    let mut flagged = 0;
    for mint in &what.mints {
        let our = ours.get(mint).and_then(|latest| dollars(latest, &ours));
        let their = theirs.get(&mint.to_string()).map(|price| price.usd_price);
        let Some((our, their)) = our.zip(their) else {
            let who = if our.is_none() { "we" } else { "Jupiter" };
            say(&format!("{mint}  {who} do not know a price"));
            continue;
        };
        let percent = (our / their - 1.0) * 100.0;
        let good = percent.abs() <= what.tolerance;
        flagged += u32::from(!good);
        let time = ours.get(mint).map_or(0, |latest| latest.time);
        let age = now().0.saturating_sub(time) / 1000;
        let flag = if good { "" } else { "  <-" };
        say(&format!(
            "{mint}  {our:.9} against {their:.9}: {percent:+.2} %, {age} s old{flag}"
        ));
    }
    Ok(if flagged > 0 {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// What a token is worth: its last price in money, and money's.
fn dollars(latest: &Latest, all: &HashMap<Pubkey, Latest>) -> Option<f64> {
    let price = latest.price.to_f64();
    match latest.quote {
        USDC | USDT => Some(price),
        WSOL => {
            let sol = all.get(&WSOL).filter(|sol| sol.quote != WSOL)?;
            Some(price * sol.price.to_f64())
        }
        _ => None,
    }
}

async fn theirs(what: &Reconcile) -> Result<HashMap<String, Theirs>, Failure> {
    let failed = |error: reqwest::Error| Failure::Other(format!("Jupiter: {error}"));
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let client = client.map_err(failed)?;
    let mut theirs = HashMap::new();
    for mints in what.mints.chunks(TOGETHER) {
        let mints: Vec<String> = mints.iter().map(Pubkey::to_string).collect();
        let mut url = what.api.clone();
        url.query_pairs_mut().append_pair("ids", &mints.join(","));
        let mut request = client.get(url);
        if let Some(key) = &what.key {
            request = request.header("x-api-key", key);
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
    use perijove_core::market::{Position, Price};
    use perijove_core::{Signature, Slot};

    use super::*;

    fn latest(quote: Pubkey, price: Price) -> Latest {
        Latest {
            position: Position {
                slot: Slot(1),
                transaction: 0,
                instruction: 0,
                ordinal: 0,
            },
            signature: Signature([0; 64]),
            time: 0,
            price,
            quote,
            pool: Pubkey([1; 32]),
            decimals: 6,
            usd: None,
        }
    }

    #[test]
    fn a_price_in_sol_is_worth_what_sol_is() {
        let half = Price::from_parts(5, -1).unwrap();
        let hundred = Price::from_parts(1, 2).unwrap();
        let all = HashMap::from([(WSOL, latest(USDC, hundred))]);
        assert_eq!(dollars(&latest(USDT, half), &all), Some(0.5));
        assert_eq!(dollars(&latest(WSOL, half), &all), Some(50.0));
        assert_eq!(dollars(&latest(WSOL, half), &HashMap::new()), None);
        assert_eq!(dollars(&latest(Pubkey([9; 32]), half), &all), None);
    }

    #[test]
    fn jupiters_answer_is_understood() {
        let text = r#"{"So11111111111111111111111111111111111111112":{"usdPrice":147.4789340738336,
            "blockId":348004023,"decimals":9,"priceChange24h":1.29},"unknown":null}"#;
        let prices: HashMap<String, Option<Theirs>> = serde_json::from_str(text).unwrap();
        let sol = prices[&WSOL.to_string()].as_ref().unwrap();
        assert!((sol.usd_price - 147.478_934).abs() < 1e-6);
        assert!(prices["unknown"].is_none());
    }
}
