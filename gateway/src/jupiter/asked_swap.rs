//! What a quote or an order was asked for, and whether an answer is one to that question. An upstream
//! that is asked over a cache, a proxy or mixed-up connections may answer another one: its client would
//! sign a swap into another token, or of another amount.

use std::borrow::Cow;

use perijove_core::Pubkey;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::begins_as_object;
use super::parameters::{Parameters, QueryFault, canonical_u64};
use super::quote::mode;
use super::{QuoteFacts, QuoteQuery, SwapMode};

/// The token that stands for SOL in every route.
const WRAPPED_SOL: &str = "So11111111111111111111111111111111111111112";

/// Other names of SOL, for which answers have that token.
const NATIVE_SOL: [&str; 2] = [
    "So11111111111111111111111111111111111111111",
    "11111111111111111111111111111111",
];

/// The question of a quote or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedSwap {
    pub input_mint: Pubkey,
    pub output_mint: Pubkey,
    /// In the smallest units, of the input or the output by the mode.
    pub amount: u64,
    pub mode: SwapMode,
}

impl From<&QuoteQuery> for AskedSwap {
    fn from(query: &QuoteQuery) -> Self {
        Self {
            input_mint: query.input_mint,
            output_mint: query.output_mint,
            amount: query.amount,
            mode: query.mode,
        }
    }
}

impl AskedSwap {
    /// The question of an order.
    ///
    /// # Errors
    /// It lacks a part, or one of them is invalid.
    pub(super) fn of_order(read: Parameters<'_>) -> Result<Self, QueryFault> {
        Ok(Self {
            input_mint: read.mint("inputMint")?,
            output_mint: read.mint("outputMint")?,
            amount: read.amount()?,
            mode: mode(read)?,
        })
    }

    /// Whether a quote is one for this question. A mode that the quote does not name is not
    /// compared: the amounts say enough.
    pub fn is_answered_by(&self, quote: &QuoteFacts) -> bool {
        let named = quote.mode.as_deref();
        if !is_mint(quote.input_mint, self.input_mint)
            || !is_mint(quote.output_mint, self.output_mint)
            || named.is_some_and(|named| named != self.mode.name())
        {
            return false;
        }
        match self.mode {
            SwapMode::ExactIn => quote.in_amount == self.amount,
            // Nothing is sold for nothing.
            SwapMode::ExactOut => quote.out_amount == self.amount && quote.in_amount > 0,
        }
    }

    /// Whether an order may be one for this question: as far as it says what it is for. Some
    /// orders say less than others, and only those of a fixed input are known to repeat the amount.
    pub fn may_be_answered_by_order(&self, body: &[u8]) -> bool {
        let order = serde_json::from_slice::<OrderTerms<'_>>(body);
        let Some(order) = order.ok().filter(|_| begins_as_object(body)) else {
            return false;
        };
        let mint = |told: Option<Cow<'_, str>>, asked| {
            told.is_none_or(|told| is_mint(told.parse().ok(), asked))
        };
        let same_pair = mint(text(order.input_mint), self.input_mint)
            && mint(text(order.output_mint), self.output_mint);
        let exact_in = self.mode == SwapMode::ExactIn;
        let same_mode = text(order.swap_mode).is_none_or(|told| told == self.mode.name());
        let same_amount =
            text(order.in_amount).is_none_or(|told| canonical_u64(&told) == Some(self.amount));
        same_pair && (!exact_in || (same_mode && same_amount))
    }
}

/// The members of an order that say what it is for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderTerms<'a> {
    #[serde(borrow, default)]
    input_mint: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output_mint: Option<&'a RawValue>,
    #[serde(borrow, default)]
    in_amount: Option<&'a RawValue>,
    #[serde(borrow, default)]
    swap_mode: Option<&'a RawValue>,
}

/// The text of a member, or of its number; `None` if it says nothing.
fn text(member: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = member?.get();
    match serde_json::from_str::<Option<Cow<'_, str>>>(raw) {
        Ok(text) => text.filter(|text| !text.is_empty()),
        Err(_) => Some(Cow::Borrowed(raw)),
    }
}

fn is_mint(told: Option<Pubkey>, asked: Pubkey) -> bool {
    told.is_some_and(|told| wrapped(told) == wrapped(asked))
}

/// The token for SOL, whatever it is called.
fn wrapped(mint: Pubkey) -> Pubkey {
    let is = |name: &&str| name.parse() == Ok(mint);
    if NATIVE_SOL.iter().any(is) {
        WRAPPED_SOL.parse().unwrap_or(mint)
    } else {
        mint
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jupiter::parameters::decode;

    const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    const USDT: &str = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB";

    fn asked(input: &str, amount: &str, rest: &str) -> String {
        format!("inputMint={input}&outputMint={USDC}&amount={amount}{rest}")
    }

    fn quote() -> Value {
        json!({
            "inputMint": WRAPPED_SOL, "outputMint": USDC, "inAmount": "100", "outAmount": "15",
            "swapMode": "ExactIn", "contextSlot": 1, "platformFee": null,
        })
    }

    fn order_of(query: &str) -> AskedSwap {
        AskedSwap::of_order(Parameters(&decode(query).unwrap())).unwrap()
    }

    fn answers(query: &str, quote: &Value) -> bool {
        let query = QuoteQuery::read(query).unwrap();
        let facts = QuoteFacts::read(quote.to_string().as_bytes());
        facts.is_some_and(|facts| AskedSwap::from(&query).is_answered_by(&facts))
    }

    #[test]
    fn a_quote_for_another_question_is_no_answer() {
        let query = asked(WRAPPED_SOL, "100", "");
        assert!(answers(&query, &quote()));
        for (member, value) in [
            ("inputMint", json!(USDT)),
            ("outputMint", json!(USDT)),
            ("outputMint", json!("")),
            ("inputMint", json!("a mint")),
            ("inAmount", json!("7")),
            ("inAmount", json!("101")),
            ("swapMode", json!("ExactOut")),
            ("swapMode", json!("exactin")),
            // Not as an amount is written.
            ("inAmount", json!("0100")),
            ("inAmount", json!("+100")),
            ("inAmount", json!(100)),
            ("outAmount", json!("+15")),
            ("outAmount", json!("015")),
            ("outAmount", json!("-1")),
            ("outAmount", json!("")),
            ("outAmount", json!("1e3")),
            ("outAmount", json!(" 15")),
            ("outAmount", json!("١")),
            ("outAmount", json!("18446744073709551616")),
            ("outAmount", json!("18446744073709551621")),
        ] {
            let mut other = quote();
            other[member] = value.clone();
            assert!(!answers(&query, &other), "{member} {value}");
        }
        let turned = format!("inputMint={USDC}&outputMint={WRAPPED_SOL}&amount=100");
        assert!(!answers(&turned, &quote()));
    }

    #[test]
    fn what_a_quote_may_leave_out_or_add_does_not_count() {
        let query = asked(WRAPPED_SOL, "100", "&slippageBps=50&platformFeeBps=20");
        let mut bare = quote();
        bare.as_object_mut().unwrap().remove("swapMode");
        assert!(answers(&query, &bare));
        let mut rich = quote();
        rich["platformFee"] = json!({ "amount": "1", "feeBps": 20 });
        rich["new"] = json!([]);
        rich["outAmount"] = json!("18446744073709551615");
        assert!(answers(&query, &rich));
        rich["outAmount"] = json!("0");
        assert!(answers(&query, &rich), "dust brings nothing");
        assert!(answers(&asked(WRAPPED_SOL, "0100", ""), &quote()));
        for native in NATIVE_SOL {
            assert!(answers(&asked(native, "100", ""), &quote()), "{native}");
        }
    }

    #[test]
    fn the_fixed_amount_is_that_of_the_mode() {
        let mut out = quote();
        out["swapMode"] = json!("ExactOut");
        let query = asked(WRAPPED_SOL, "15", "&swapMode=ExactOut");
        assert!(answers(&query, &out));
        out["inAmount"] = json!("0");
        assert!(!answers(&query, &out), "for nothing");
        out["inAmount"] = json!("100");
        out["outAmount"] = json!("16");
        assert!(!answers(&query, &out));
        assert!(!answers(&query, &quote()));
    }

    #[test]
    fn an_order_is_compared_as_far_as_it_says_what_it_is_for() {
        let order = json!({
            "requestId": "1", "inputMint": WRAPPED_SOL, "outputMint": USDC, "inAmount": "100",
            "outAmount": "15", "swapMode": "ExactIn", "feeMint": WRAPPED_SOL, "feeBps": 2,
            "transaction": null, "platformFee": { "feeBps": 2 }, "router": "metis",
        });
        let may = |query: &str, order: &Value| {
            order_of(query).may_be_answered_by_order(order.to_string().as_bytes())
        };
        let query = asked(WRAPPED_SOL, "100", "&taker=x");
        assert!(may(&query, &order));
        for (member, value, fine) in [
            ("inputMint", json!(USDT), false),
            ("outputMint", json!(USDT), false),
            ("inAmount", json!("99"), false),
            ("inAmount", json!("0100"), false),
            ("swapMode", json!("ExactOut"), false),
            ("inAmount", json!(null), true),
            ("inAmount", json!(100), true),
            ("outAmount", json!(null), true),
            ("inputMint", json!(""), true),
            ("swapMode", json!(null), true),
        ] {
            let mut other = order.clone();
            other[member] = value.clone();
            assert_eq!(may(&query, &other), fine, "{member} {value}");
        }
        assert!(may(&query, &json!({ "requestId": "1", "transaction": "" })));
        // Which amount such an order repeats is not known.
        let out = asked(WRAPPED_SOL, "15", "&swapMode=ExactOut");
        assert!(may(&out, &order));
        let mut other = order.clone();
        other["outputMint"] = json!(USDT);
        assert!(!may(&out, &other));
        let asked = order_of(&query);
        for nothing in ["[]", "{", "", r#"{"inputMint":1,"inputMint":2}"#] {
            assert!(
                !asked.may_be_answered_by_order(nothing.as_bytes()),
                "{nothing}"
            );
        }
    }
}
