use std::collections::BTreeMap;

use proptest::prelude::*;
use url::form_urlencoded;

use super::*;

const SOL: &str = "So11111111111111111111111111111111111111112";
const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

fn with(rest: &str) -> String {
    format!("inputMint={SOL}&outputMint={USDC}&amount=100{rest}")
}

fn key(query: &str) -> Vec<u8> {
    QuoteQuery::read(query).unwrap().canonical()
}

#[test]
fn what_cannot_be_right_is_refused_by_name() {
    for (query, text) in [
        (
            format!("outputMint={USDC}&amount=1"),
            "inputMint is missing",
        ),
        (
            format!("inputMint={SOL}&outputMint=&amount=1"),
            "outputMint is missing",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}"),
            "amount is missing",
        ),
        (
            format!("inputMint=abc&outputMint={USDC}&amount=1"),
            "inputMint cannot be parsed",
        ),
        (
            with("").replace("100", "0"),
            "amount cannot be parsed: must be above zero",
        ),
        (with("").replace("100", "-1"), "amount cannot be parsed"),
        (with("").replace("100", "1e9"), "amount cannot be parsed"),
        (with("").replace("100", "1.5"), "amount cannot be parsed"),
        (with("").replace("100", "%2B1"), "amount cannot be parsed"),
        (
            with("").replace("100", "18446744073709551616"),
            "amount cannot be parsed",
        ),
        (with("&amount=100"), "amount is given twice"),
        (with("&swapMode=exactin"), "swapMode cannot be parsed"),
        (with("&slippageBps=10001"), "slippageBps cannot be parsed"),
        (with("&slippageBps=-5"), "slippageBps cannot be parsed"),
        (with("&slippageBps="), "slippageBps cannot be parsed"),
        (with("&platformFeeBps=a"), "platformFeeBps cannot be parsed"),
        (with("&maxAccounts=65"), "maxAccounts is greater than 64"),
        (
            with("&dexes=A&excludeDexes=B"),
            "dexes and excludeDexes cannot both",
        ),
        (with("&x=%ff"), "not UTF-8"),
        (with("&x=%zz"), "without two hexadecimal digits"),
        (with("&amoun%74=1"), "amount is given twice"),
        (with("&onlyDirectRoutes=yes"), "onlyDirectRoutes cannot"),
        (with("&forJitoBundle=1"), "forJitoBundle cannot"),
        (with("&dynamicSlippage="), "dynamicSlippage cannot"),
        (with("&instructionVersion=V3"), "instructionVersion cannot"),
        (with("&x=").replace("x=", &"x".repeat(9000)), "longer than"),
    ] {
        let fault = QuoteQuery::read(&query).unwrap_err().to_string();
        assert!(fault.contains(text), "{query}: {fault}");
    }
}

#[test]
fn what_may_be_right_is_jupiters_to_judge() {
    for rest in [
        "",
        "&swapMode=ExactOut&slippageBps=0&maxAccounts=64",
        "&slippageBps=10000&platformFeeBps=255",
        "&new=thing&new=other&",
        "&dexes=Orca+V2,Raydium&onlyDirectRoutes=TRUE",
        "&dexes=&excludeDexes=A",
    ] {
        assert!(QuoteQuery::read(&with(rest)).is_ok(), "{rest}");
    }
    // Circular routes are for an API that allows them.
    let circular = format!("inputMint={SOL}&outputMint={SOL}&amount=1");
    assert!(QuoteQuery::read(&circular).is_ok());
}

#[test]
fn spellings_of_the_same_quote_share_a_key() {
    for (one, other) in [
        (
            with(""),
            format!("amount=100&outputMint={USDC}&inputMint={SOL}"),
        ),
        (with("&dexes=A,B%20C"), with("&dexes=B+C&dexes=A")),
        (with("&dexes=A,B,A"), with("&dexes=B%2C%20A")),
        (with("&dynamicSlippage=false"), with("")),
        (with("&a=%41"), with("&a=A")),
    ] {
        assert_eq!(key(&one), key(&other), "{one} {other}");
    }
}

#[test]
fn quotes_that_may_differ_do_not() {
    let all = [
        with(""),
        with("&slippageBps=50"),
        with("&slippageBps=51"),
        with("&swapMode=ExactIn"),
        with("&swapMode=ExactOut"),
        with("&onlyDirectRoutes=true"),
        with("&onlyDirectRoutes=TRUE"),
        with("&dexes=A"),
        with("&excludeDexes=A"),
        with("&dexes="),
        with("&dynamicSlippage=true"),
        with("&new=1"),
        with("&new=1&new=2"),
        with("&new=2&new=1"),
        with("&new"),
        with("&New=1"),
        with("&new=%2541"),
        with("&new=A"),
        with("&new=%20A"),
        with("&new=1%26ne=w"),
        with("&new%3D1"),
        with("&dexes=A%2520B"),
        with("&dexes=A%2BB"),
        with("&dexes=A+B"),
        with("&ne=w1"),
        with("").replace("100", "101"),
        with("").replace("100", "0100"),
        format!("inputMint={USDC}&outputMint={SOL}&amount=100"),
    ];
    for (index, one) in all.iter().enumerate() {
        for other in &all[..index] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }
}

/// What a parameter is to Jupiter, by the simplest reading: known lists as sets, all else as it is.
fn meaning(parameters: &[(String, String)]) -> Vec<(String, Vec<String>)> {
    let mut meaning: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in parameters {
        let values = meaning.entry(name.clone()).or_default();
        if LISTS.contains(&name.as_str()) {
            values.extend(value.split(',').map(|one| one.trim().to_owned()));
            values.sort();
            values.dedup();
        } else {
            values.push(value.clone());
        }
    }
    if meaning
        .get("dynamicSlippage")
        .is_some_and(|values| values == &["false"])
    {
        meaning.remove("dynamicSlippage");
    }
    meaning.into_iter().collect()
}

proptest! {
    #[test]
    fn two_quotes_share_a_key_exactly_if_they_mean_the_same(
        one in parameters(), other in parameters(),
    ) {
        let read = |parameters: &[(String, String)]| {
            let rest: String = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(parameters)
                .finish();
            QuoteQuery::read(&with(&format!("&{rest}")))
        };
        let (Ok(a), Ok(b)) = (read(&one), read(&other)) else { return Ok(()) };
        prop_assert_eq!(a.canonical() == b.canonical(), meaning(&one) == meaning(&other));
    }
}

/// A query as some client might write it: any letter escaped or not, in another order.
fn spelt(parameters: &[(String, String)], luck: &[u8]) -> String {
    let mut luck = luck.iter().copied().cycle();
    let mut escaped = |text: &str| -> String {
        let letters = text.bytes().map(|byte| match luck.next().unwrap_or(0) {
            0..128 if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            128..192 if byte == b' ' => "+".to_owned(),
            odd if odd % 2 == 0 => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        });
        letters.collect()
    };
    let pairs = parameters.iter().map(|(name, value)| {
        let name = escaped(name);
        format!("{name}={}", escaped(value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

proptest! {
    #[test]
    fn however_a_quote_is_spelt_it_has_one_key(
        known in parameters(), value in "[ -~]{0,6}", luck in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut all = known;
        all.push(("other".to_owned(), value));
        let one = with(&format!("&{}", spelt(&all, &luck)));
        // Names that are given once may stand anywhere.
        let reversed: Vec<_> = all.iter().rev().cloned().collect();
        let names = all.iter().map(|(name, _)| name);
        let once = names.collect::<std::collections::BTreeSet<_>>().len() == all.len();
        let other = if once { &reversed } else { &all };
        let other = format!("{}&{}", spelt(other, &[200]), with(""));
        match (QuoteQuery::read(&one), QuoteQuery::read(&other)) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one.canonical(), other.canonical()),
            (Err(one), Err(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(false, "{one:?} {other:?}"),
        }
    }

    #[test]
    fn what_is_unknown_to_the_gateway_tells_quotes_apart_to_the_letter(
        one in "[ -~]{0,4}", other in "[ -~]{0,4}", name in "[a-z]{1,3}", another in "[a-z]{1,3}",
    ) {
        let key = |name: &str, value: &str| {
            key(&with(&format!("&{}", spelt(&[(name.to_owned(), value.to_owned())], &[201]))))
        };
        prop_assert_eq!(key(&name, &one) == key(&name, &other), one == other);
        prop_assert_eq!(key(&name, &one) == key(&another, &one), name == another);
    }

    #[test]
    fn no_query_does_harm(query in "\\PC*") {
        if let Ok(read) = QuoteQuery::read(&query) {
            prop_assert!(!read.canonical().is_empty());
        }
    }
}

/// Few names and values, so that they meet.
fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec![
        "dexes",
        "excludeDexes",
        "slippageBps",
        "dynamicSlippage",
        "new",
        "ne",
        "onlyDirectRoutes",
    ]);
    let value = prop::sample::select(vec!["", "1", "2", "A", "A,B", "B,A", "false", "true", "w1"]);
    let pair = (name, value).prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
    prop::collection::vec(pair, 0..4)
}
