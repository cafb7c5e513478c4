//! What the gateway reads in answers, and in requests that refer to them. Nothing is re-encoded:
//! clients get the bytes of the upstream.

use std::borrow::Cow;

use perijove_core::{Pubkey, Slot};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::parameters::canonical_u64;

/// The facts of a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteFacts {
    /// The slot of the markets it was made from.
    pub context_slot: Option<Slot>,
    /// The pools of its route; `None` if any of them is missing.
    pub pools: Option<Vec<Pubkey>>,
    /// `None` if it is not an address.
    pub input_mint: Option<Pubkey>,
    pub output_mint: Option<Pubkey>,
    /// As it is named; `None` if it is not.
    pub mode: Option<Box<str>>,
    /// In the smallest units.
    pub in_amount: u64,
    pub out_amount: u64,
    pub print: Fingerprint,
}

/// Identifies a quote, also after a client has decoded and re-encoded it. Equal on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

/// The members that clients keep. Some clients drop all others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuoteIdentity<'a> {
    #[serde(borrow)]
    input_mint: Cow<'a, str>,
    #[serde(borrow)]
    output_mint: Cow<'a, str>,
    #[serde(borrow)]
    in_amount: Cow<'a, str>,
    #[serde(borrow)]
    out_amount: Cow<'a, str>,
    #[serde(borrow, default)]
    other_amount_threshold: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    swap_mode: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    context_slot: Option<&'a RawValue>,
    #[serde(borrow, default)]
    route_plan: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Leg<'a> {
    #[serde(borrow)]
    swap_info: SwapInfo<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SwapInfo<'a> {
    #[serde(borrow)]
    amm_key: Cow<'a, str>,
}

impl QuoteIdentity<'_> {
    fn context_slot(&self) -> Option<u64> {
        let text = self.context_slot?.get().trim_matches('"');
        text.parse().ok()
    }

    fn pools(&self) -> Option<Vec<Pubkey>> {
        let legs: Vec<Leg<'_>> = serde_json::from_str(self.route_plan?.get()).ok()?;
        let pools: Option<Vec<_>> = legs
            .iter()
            .map(|leg| leg.swap_info.amm_key.parse().ok())
            .collect();
        pools.filter(|pools| !pools.is_empty())
    }

    fn print(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        let mut part = |part: Option<&str>| {
            // The length before each part; for a missing one, more than any has.
            let length = part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(0));
            hasher.update(&length.to_be_bytes());
            hasher.update(part.unwrap_or_default().as_bytes());
        };
        for one in [
            &self.input_mint,
            &self.output_mint,
            &self.in_amount,
            &self.out_amount,
        ] {
            part(Some(one));
        }
        part(self.other_amount_threshold.as_deref());
        part(self.swap_mode.as_deref());
        let slot = self.context_slot().map(|slot| slot.to_string());
        part(slot.as_deref());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        Fingerprint(bytes)
    }
}

impl QuoteFacts {
    /// Reads a quote; `None` if it is not one.
    pub fn read(body: &[u8]) -> Option<Self> {
        if !begins_as_object(body) {
            return None;
        }
        let quote: QuoteIdentity<'_> = serde_json::from_slice(body).ok()?;
        Some(Self {
            context_slot: quote.context_slot().map(Slot),
            pools: quote.pools(),
            input_mint: quote.input_mint.parse().ok(),
            output_mint: quote.output_mint.parse().ok(),
            mode: quote.swap_mode.as_deref().map(Into::into),
            in_amount: canonical_u64(&quote.in_amount)?,
            out_amount: canonical_u64(&quote.out_amount)?,
            print: quote.print(),
        })
    }
}

/// Lists are read as objects whose members have no names, which no answer of Jupiter's is.
pub(super) fn begins_as_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}

/// Whether an answer is an error, whatever its status says.
pub fn is_error(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct ErrorAnswer<'a> {
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }
    let answer = serde_json::from_slice::<ErrorAnswer<'_>>(body);
    begins_as_object(body) && answer.is_ok_and(|answer| answer.error.is_some())
}

/// The quote in the body of a `/swap` or `/swap-instructions` request.
pub fn quote_of_swap(body: &[u8]) -> Option<Fingerprint> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct SwapAnswer<'a> {
        #[serde(borrow)]
        quote_response: QuoteIdentity<'a>,
    }
    let swap: SwapAnswer<'_> = serde_json::from_slice(body).ok()?;
    Some(swap.quote_response.print())
}

/// The `requestId` of an order, or of the request that executes it.
pub fn request_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OrderAnswer<'a> {
        #[serde(borrow)]
        request_id: Cow<'a, str>,
    }
    let order: OrderAnswer<'_> = serde_json::from_slice(body).ok()?;
    Some(order.request_id.into_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn quote() -> Value {
        json!({
            "inputMint": "So11111111111111111111111111111111111111112",
            "inAmount": "100000000",
            "outputMint": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
            "outAmount": "16198753",
            "otherAmountThreshold": "16117760",
            "swapMode": "ExactIn",
            "slippageBps": 50,
            "platformFee": null,
            "priceImpactPct": "0",
            "routePlan": [{
                "swapInfo": {
                    "ammKey": "5BKxfWMbmYBAEWvyPZS9esPducUba9GqyMjtLCfbaqyF",
                    "label": "Meteora DLMM", "inAmount": "100000000", "outAmount": "16198753",
                },
                "percent": 100,
            }],
            "contextSlot": 299_283_763,
            "timeTaken": 0.015,
        })
    }

    fn read(value: &Value) -> Option<QuoteFacts> {
        QuoteFacts::read(value.to_string().as_bytes())
    }

    #[test]
    fn a_quote_says_how_old_it_is_and_where_it_leads_through() {
        let facts = read(&quote()).unwrap();
        assert_eq!(facts.context_slot, Some(Slot(299_283_763)));
        assert_eq!(
            (facts.in_amount, facts.out_amount),
            (100_000_000, 16_198_753)
        );
        assert_eq!(facts.pools.unwrap().len(), 1);
    }

    #[test]
    fn what_a_quote_does_not_say_is_not_made_up() {
        let mut bare = quote();
        for member in ["contextSlot", "routePlan", "swapMode"] {
            bare.as_object_mut().unwrap().remove(member);
        }
        let facts = read(&bare).unwrap();
        assert_eq!((facts.context_slot, facts.pools), (None, None));
        let mut odd = quote();
        odd["routePlan"][0]["swapInfo"]["ammKey"] = json!("not a key");
        odd["contextSlot"] = json!(-1);
        let facts = read(&odd).unwrap();
        assert_eq!((facts.context_slot, facts.pools), (None, None));
        let list = json!(["a", "b", "1", "1", "1", "ExactIn", 1, []]);
        for nothing in [json!({}), json!([]), list, json!({ "error": "x" })] {
            assert_eq!(read(&nothing), None);
        }
        assert_eq!(QuoteFacts::read(b"{\"inAmount\":"), None);
    }

    #[test]
    fn a_swap_is_told_from_which_quote_it_comes_whatever_a_client_has_dropped() {
        let print = read(&quote()).unwrap().print;
        let mut written_again = quote();
        let members = written_again.as_object_mut().unwrap();
        members.remove("platformFee");
        members.remove("timeTaken");
        let swap = json!({ "userPublicKey": "x", "quoteResponse": written_again });
        assert_eq!(quote_of_swap(swap.to_string().as_bytes()), Some(print));
        for (member, value) in [
            ("outAmount", "1"),
            ("inAmount", "2"),
            ("swapMode", "ExactOut"),
        ] {
            let mut other = quote();
            other[member] = json!(value);
            let swap = json!({ "quoteResponse": other });
            assert_ne!(quote_of_swap(swap.to_string().as_bytes()), Some(print));
        }
        assert_eq!(quote_of_swap(b"{}"), None);
        assert_eq!(quote_of_swap(b"nonsense"), None);
    }

    #[test]
    fn an_error_is_one_whatever_its_status() {
        for (body, error) in [
            (r#"{"error":"x"}"#, true),
            (r#"{"code":1,"error":{}}"#, true),
            (r#"{"error":null}"#, false),
            (r#"{"id":1}"#, false),
            (r#"[{"error":"x"}]"#, false),
            (r#"["x"]"#, false),
            ("", false),
        ] {
            assert_eq!(is_error(body.as_bytes()), error, "{body}");
        }
    }

    #[test]
    fn an_order_and_its_execution_share_an_id() {
        let order = br#"{"requestId":"019c-7","transaction":""}"#;
        let execute = br#"{"signedTransaction":"AQ","requestId":"019c-7"}"#;
        assert_eq!(request_id(order), request_id(execute));
        assert_eq!(request_id(order).as_deref(), Some("019c-7"));
        assert_eq!(request_id(br#"{"requestId":""}"#), None);
        assert_eq!(request_id(b"{}"), None);
    }
}
