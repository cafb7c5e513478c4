//! An answer of the price API.

use bytes::Bytes;
use perijove_core::Pubkey;
use perijove_core::redis::Dollars;
use serde::{Serialize, Serializer};

/// The answer: prices by the address of their token. Members that only Jupiter knows are left out,
/// as Jupiter leaves out unknown ones. `extra` adds members that Jupiter does not have. `others`
/// are prices as Jupiter itself wrote them; `now` is in milliseconds since 1970.
pub fn answer(
    prices: &[(Pubkey, Dollars)],
    others: &[(Pubkey, Bytes)],
    extra: bool,
    now: u64,
) -> Bytes {
    let extra = extra.then_some(now);
    let mut body = serde_json::to_vec(&PriceList { prices, extra })
        .unwrap_or_else(|_no_key_is_none| b"{}".to_vec());
    for (mint, price) in others {
        let end = body.pop();
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(format!("\"{mint}\":").as_bytes());
        body.extend_from_slice(price);
        body.extend(end);
    }
    body.into()
}

struct PriceList<'p> {
    prices: &'p [(Pubkey, Dollars)],
    extra: Option<u64>,
}

/// One price, with Jupiter's member names. A block means a slot there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PriceEntry {
    usd_price: f64,
    block_id: u64,
    decimals: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<PriceBasis>,
}

/// What a price is based on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PriceBasis {
    confidence: Confidence,
    /// Of the last ten minutes.
    trades: u32,
    pools: u32,
    turnover_usd: f64,
    age_ms: u64,
}

/// The interval in which the price lies, and its relative uncertainty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Confidence {
    low: f64,
    high: f64,
    uncertainty: f64,
}

impl PriceBasis {
    fn of(price: &Dollars, now: u64) -> Self {
        let (low, high) = price.interval();
        let since = u64::try_from(price.since).unwrap_or(0);
        Self {
            confidence: Confidence {
                low,
                high,
                uncertainty: price.uncertain,
            },
            trades: price.trades,
            pools: price.pools,
            turnover_usd: (price.turnover * 100.0).round() / 100.0,
            age_ms: now.saturating_sub(since),
        }
    }
}

impl Serialize for PriceList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.prices.iter().map(|(token, price)| {
            let member = PriceEntry {
                usd_price: price.usd,
                block_id: price.slot.0,
                decimals: price.decimals,
                extra: self.extra.map(|now| PriceBasis::of(price, now)),
            };
            (token.to_string(), member)
        }))
    }
}

#[cfg(test)]
mod tests {
    use perijove_core::Slot;
    use perijove_core::market::WSOL;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const TOKEN: Pubkey = Pubkey([7; 32]);

    fn price(usd: f64) -> Dollars {
        Dollars {
            usd,
            uncertain: 0.25,
            decimals: 9,
            slot: Slot(348_004_023),
            time: 9_000,
            since: 8_000,
            trades: 12,
            pools: 3,
            turnover: 1_234.567,
        }
    }

    #[test]
    fn the_answer_has_jupiters_shape() {
        let prices = [(WSOL, price(147.478_934_073_833_6)), (TOKEN, price(1e-12))];
        let body = answer(&prices, &[], false, 9_500);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            read,
            json!({
                "So11111111111111111111111111111111111111112":
                    { "usdPrice": 147.478_934_073_833_6, "blockId": 348_004_023, "decimals": 9 },
                TOKEN.to_string(): { "usdPrice": 1e-12, "blockId": 348_004_023, "decimals": 9 },
            })
        );
        assert_eq!(answer(&[], &[], true, 0), b"{}"[..]);
    }

    #[test]
    fn what_jupiter_has_written_stands_beside_it_to_the_byte() {
        let other = Pubkey([8; 32]);
        let theirs = [(other, Bytes::from_static(br#"{"usdPrice": 1.50}"#))];
        let written = format!(r#""{other}":{{"usdPrice": 1.50}}}}"#);
        for ours in [vec![], vec![(TOKEN, price(4.0))]] {
            let body = answer(&ours, &theirs, false, 0);
            let read: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(read.as_object().unwrap().len(), ours.len() + 1);
            assert!(body.ends_with(written.as_bytes()));
        }
    }

    #[test]
    fn what_a_price_rests_on_is_told_to_those_who_ask() {
        let body = answer(&[(TOKEN, price(4.0))], &[], true, 9_500);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            read[TOKEN.to_string()]["extra"],
            json!({
                "confidence": { "low": 3.2, "high": 5.0, "uncertainty": 0.25 },
                "trades": 12, "pools": 3, "turnoverUsd": 1_234.57, "ageMs": 1_500,
            })
        );
    }

    proptest! {
        #[test]
        fn every_price_is_written_to_the_last_digit(
            dollars in any::<f64>().prop_filter("a price", |dollars| dollars.is_normal() && *dollars > 0.0),
        ) {
            let body = answer(&[(TOKEN, price(dollars))], &[], false, 0);
            // Not by way of a parser that rounds.
            let body = String::from_utf8(body.to_vec()).unwrap();
            let rest = body.split_once(r#""usdPrice":"#).unwrap().1;
            let told: f64 = rest.split_once(',').unwrap().0.parse().unwrap();
            prop_assert_eq!(told.to_bits(), dollars.to_bits());
        }
    }
}
