//! An answer of the price API.

use bytes::Bytes;
use perijove_core::Pubkey;
use perijove_core::redis::Priced;
use serde::{Serialize, Serializer};

/// The answer: prices by the address of their token. What Jupiter has beside them is not known
/// here and left out, as Jupiter leaves out what it does not know.
pub fn answer(prices: &[(Pubkey, Priced)]) -> Bytes {
    serde_json::to_vec(&Answer(prices))
        .unwrap_or_else(|_no_key_is_none| b"{}".to_vec())
        .into()
}

struct Answer<'p>(&'p [(Pubkey, Priced)]);

/// One price, with Jupiter's names. A block is a slot to it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    usd_price: f64,
    block_id: u64,
    decimals: u8,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(token, price)| {
            let member = Member {
                usd_price: price.dollars,
                block_id: price.slot.0,
                decimals: price.decimals,
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

    fn price(dollars: f64) -> Priced {
        Priced {
            dollars,
            slot: Slot(348_004_023),
            decimals: 9,
            since: 0,
        }
    }

    #[test]
    fn the_answer_has_jupiters_shape() {
        let body = answer(&[(WSOL, price(147.478_934_073_833_6)), (TOKEN, price(1e-12))]);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            read,
            json!({
                "So11111111111111111111111111111111111111112":
                    { "usdPrice": 147.478_934_073_833_6, "blockId": 348_004_023, "decimals": 9 },
                TOKEN.to_string(): { "usdPrice": 1e-12, "blockId": 348_004_023, "decimals": 9 },
            })
        );
        assert_eq!(answer(&[]), b"{}"[..]);
    }

    proptest! {
        #[test]
        fn every_price_is_written_to_the_last_digit(
            dollars in any::<f64>().prop_filter("a price", |dollars| dollars.is_normal() && *dollars > 0.0),
        ) {
            let body = answer(&[(TOKEN, price(dollars))]);
            // Not by way of a parser that rounds.
            let body = String::from_utf8(body.to_vec()).unwrap();
            let rest = body.split_once(r#""usdPrice":"#).unwrap().1;
            let told: f64 = rest.split_once(',').unwrap().0.parse().unwrap();
            prop_assert_eq!(told.to_bits(), dollars.to_bits());
        }
    }
}
