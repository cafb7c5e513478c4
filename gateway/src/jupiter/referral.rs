//! The operator's fee, added where the API accepts one and the caller has named none.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{QuoteQuery, SwapMode, with_parameter};

/// A quote's query with the fee, if it may be added. `takes` says whether there is an account for the
/// fee in the token of a mint.
pub fn quote_with_fee(
    query: &str,
    parsed: &QuoteQuery,
    bps: u32,
    takes: impl Fn(&str) -> bool,
) -> Option<String> {
    // Where the output is fixed, Jupiter takes fees from the input alone.
    let output = (parsed.mode == SwapMode::ExactIn).then_some(parsed.output_mint);
    let mut mints = output.into_iter().chain([parsed.input_mint]);
    let taken = mints.any(|mint| takes(&mint.to_string()));
    let own = parsed.get("platformFeeBps").is_some();
    (taken && !own).then(|| with_parameter(query, "platformFeeBps", &bps.to_string()))
}

/// An order's query with the referral, unless the caller has named one, or a part of one.
pub fn order_with_referral(query: &str, account: &str, fee: u32) -> Option<String> {
    let own = |name: &str| matches!(name, "referralAccount" | "referralFee");
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    if pairs.any(|(name, _)| own(&name)) {
        return None;
    }
    let query = with_parameter(query, "referralAccount", account);
    Some(with_parameter(&query, "referralFee", &fee.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SwapReferral<'a> {
    #[serde(borrow, default, deserialize_with = "as_it_stands")]
    fee_account: Option<&'a RawValue>,
    #[serde(borrow)]
    quote_response: QuoteReferral<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuoteReferral<'a> {
    #[serde(borrow)]
    input_mint: Cow<'a, str>,
    #[serde(borrow)]
    output_mint: Cow<'a, str>,
    #[serde(borrow, default)]
    swap_mode: Option<Cow<'a, str>>,
}

/// Also reads `null`, which would otherwise be `None`.
fn as_it_stands<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The body of a swap with the account that receives the fee, inserted before everything else;
/// `None` if the caller has named one. `account_of` returns the account for a mint.
pub fn swap_with_account<'a>(
    body: &Bytes,
    account_of: impl Fn(&str) -> Option<&'a str>,
) -> Option<Bytes> {
    let swap: SwapReferral<'_> = serde_json::from_slice(body).ok()?;
    // With `null` the caller names none, but a second member of that name would be invalid.
    let null = swap.fee_account.map(RawValue::get);
    if null.is_some_and(|null| null != "null") {
        return None;
    }
    let quote = &swap.quote_response;
    // The fee is taken in the output mint where possible; not where the output is fixed.
    let fixed = quote.swap_mode.as_deref() == Some(SwapMode::ExactOut.name());
    let output = (!fixed).then(|| account_of(&quote.output_mint)).flatten();
    let account = output.or_else(|| account_of(&quote.input_mint))?;
    let (at, from, before, behind) = if let Some(null) = null {
        let at = null.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
        (at, at + null.len(), "\"", "\"")
    } else {
        let at = body.iter().position(|byte| *byte == b'{')? + 1;
        (at, at, "\"feeAccount\":\"", "\",")
    };
    let mut with = BytesMut::with_capacity(body.len() + account.len() + 20);
    for part in [
        body.get(..at)?,
        before.as_bytes(),
        account.as_bytes(),
        behind.as_bytes(),
        body.get(from..)?,
    ] {
        with.extend_from_slice(part);
    }
    Some(with.freeze())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SOL: &str = "So11111111111111111111111111111111111111112";
    const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

    #[test]
    fn a_fee_is_added_where_there_is_an_account_and_the_caller_names_none() {
        let query = format!("inputMint={SOL}&outputMint={USDC}&amount=1");
        let with = |query: &str, mint: &str| {
            let parsed = QuoteQuery::read(query).unwrap();
            quote_with_fee(query, &parsed, 20, |taken| taken == mint)
        };
        assert_eq!(
            with(&query, USDC),
            Some(format!("{query}&platformFeeBps=20"))
        );
        assert!(with(&query, SOL).is_some());
        assert_eq!(with(&query, "another"), None);
        let out = format!("{query}&swapMode=ExactOut");
        assert_eq!(with(&out, USDC), None, "not from what is fixed");
        assert_eq!(with(&out, SOL), Some(format!("{out}&platformFeeBps=20")));
        for own in ["0", "50"] {
            assert_eq!(with(&format!("{query}&platformFeeBps={own}"), USDC), None);
        }
    }

    #[test]
    fn an_order_keeps_the_callers_referral() {
        assert_eq!(
            order_with_referral("a=1", "acc", 60).as_deref(),
            Some("a=1&referralAccount=acc&referralFee=60")
        );
        for own in ["referralAccount=x", "a=1&referralFee=50"] {
            assert_eq!(order_with_referral(own, "acc", 60), None);
        }
    }

    #[test]
    fn an_account_that_is_null_is_named_once_all_the_same() {
        let quote = json!({ "inputMint": SOL, "outputMint": USDC });
        let body = format!("{{\"feeAccount\" : null ,\"quoteResponse\":{quote}}}");
        let account = |mint: &str| (mint == USDC).then_some("acc");
        let with = swap_with_account(&Bytes::from(body.clone()), account).unwrap();
        assert_eq!(with, body.replacen("null", "\"acc\"", 1));
        let twice = body.replacen('{', "{\"feeAccount\":null,", 1);
        assert_eq!(swap_with_account(&Bytes::from(twice), account), None);
    }

    #[test]
    fn where_the_output_is_fixed_the_fee_is_taken_from_the_input() {
        let body = |mode: &str| {
            let quote = json!({ "inputMint": SOL, "outputMint": USDC, "swapMode": mode });
            Bytes::from(json!({ "quoteResponse": quote }).to_string())
        };
        let given = |mode: &str, mints: &[&str]| {
            let account = |mint: &str| {
                mints
                    .contains(&mint)
                    .then_some(if mint == SOL { "in" } else { "out" })
            };
            let with = swap_with_account(&body(mode), account)?;
            let read: Value = serde_json::from_slice(&with).unwrap();
            Some(read["feeAccount"].as_str().unwrap().to_owned())
        };
        assert_eq!(given("ExactIn", &[SOL, USDC]).as_deref(), Some("out"));
        assert_eq!(given("ExactIn", &[SOL]).as_deref(), Some("in"));
        assert_eq!(given("ExactOut", &[SOL, USDC]).as_deref(), Some("in"));
        assert_eq!(given("ExactOut", &[USDC]), None);
    }

    #[test]
    fn a_swap_gets_the_account_and_is_otherwise_the_same_to_the_byte() {
        let quote = json!({ "inputMint": SOL, "outputMint": USDC, "n": 1 });
        let body = format!(" {{ \"x\" : 1.0, \"quoteResponse\":{quote}}}");
        let account = |mint: &str| (mint == USDC).then_some("acc");
        let with = swap_with_account(&Bytes::from(body.clone()), account).unwrap();
        let text = String::from_utf8(with.to_vec()).unwrap();
        assert_eq!(text.replacen("\"feeAccount\":\"acc\",", "", 1), body);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["feeAccount"], "acc");
        for own in [
            json!({ "feeAccount": "mine", "quoteResponse": quote }),
            json!({ "feeAccount": "", "quoteResponse": quote }),
            json!({ "feeAccount": null, "quoteResponse": { "inputMint": "a", "outputMint": "b" } }),
            json!({ "quoteResponse": 1 }),
        ] {
            assert_eq!(
                swap_with_account(&Bytes::from(own.to_string()), account),
                None
            );
        }
    }
}
