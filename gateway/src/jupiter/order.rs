//! Queries of orders and builds: invalid ones are refused. They are never kept, and so have no
//! canonical form.

use super::parameters::{ALL_BPS, Parameters, QueryFault, decode};
use super::{Api, AskedSwap, Product, SwapMode};

/// The referral fees that Jupiter accepts, in hundredths of a percent.
const REFERRAL_BPS: std::ops::RangeInclusive<u64> = 50..=255;

/// Parameters that may be given only once.
const SINGLE: [&str; 14] = [
    "inputMint",
    "outputMint",
    "amount",
    "taker",
    "receiver",
    "payer",
    "swapMode",
    "slippageBps",
    "referralAccount",
    "referralFee",
    "platformFeeBps",
    "feeAccount",
    "broadcastFeeType",
    "maxAccounts",
];

/// A query of `/order` or `/build` that no upstream can answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct OrderFault(#[from] QueryFault);

/// What a query asks for. An invalid one is refused, unknown parameters are not.
///
/// # Errors
/// What is invalid.
pub fn check_order(api: Api, product: Product, query: &str) -> Result<AskedSwap, OrderFault> {
    let pairs = decode(query)?;
    let read = Parameters(&pairs);
    read.once(&SINGLE)?;
    let asked = AskedSwap::of_order(read)?;
    for name in [
        "taker",
        "receiver",
        "payer",
        "referralAccount",
        "feeAccount",
    ] {
        read.address(name)?;
    }
    if asked.mode == SwapMode::ExactOut && api == Api::SwapV2 {
        return Err(unreadable("swapMode", "version 2 has ExactIn only"));
    }
    // `rtse` leaves it to Jupiter.
    if read.get("slippageBps") != Some("rtse") {
        read.number("slippageBps", ALL_BPS)?;
    }
    if product == Product::Build {
        read.required("taker")?;
        read.number("platformFeeBps", ALL_BPS)?;
        read.not_both("dexes", "excludeDexes")?;
        return Ok(asked);
    }
    if read.get("referralAccount").is_some() != read.get("referralFee").is_some() {
        return Err(OrderFault(QueryFault::Apart {
            first: "referralAccount",
            second: "referralFee",
        }));
    }
    let fee = read.number("referralFee", *REFERRAL_BPS.end())?;
    if fee.is_some_and(|fee| !REFERRAL_BPS.contains(&fee)) {
        return Err(unreadable("referralFee", "not within 50 and 255"));
    }
    let types = ["maxCap", "exactFee"];
    read.word("broadcastFeeType", &types, "neither maxCap nor exactFee")?;
    Ok(asked)
}

fn unreadable(name: &'static str, reason: &'static str) -> OrderFault {
    OrderFault(QueryFault::Unreadable { name, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOL: &str = "So11111111111111111111111111111111111111112";
    const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

    fn check(api: Api, product: Product, rest: &str) -> Result<(), String> {
        let query = format!("inputMint={SOL}&outputMint={USDC}&amount=100{rest}");
        let asked = check_order(api, product, &query);
        asked.map(|_| ()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn orders_that_cannot_be_right_are_refused_by_name() {
        let referral = format!("&referralAccount={SOL}");
        for (rest, text) in [
            ("&amount=1", "amount is given twice"),
            ("&taker=me", "taker cannot be parsed"),
            ("&receiver=", "receiver cannot be parsed"),
            ("&swapMode=ExactOut", "swapMode cannot be parsed"),
            ("&slippageBps=-1", "slippageBps cannot be parsed"),
            ("&slippageBps=auto", "slippageBps cannot be parsed"),
            ("&referralFee=50", "must be given together"),
            (&referral, "must be given together"),
            (&format!("{referral}&referralFee=49"), "referralFee"),
            (&format!("{referral}&referralFee=256"), "referralFee"),
            ("&broadcastFeeType=least", "broadcastFeeType"),
            ("&x=%ff", "not UTF-8"),
        ] {
            let refused = check(Api::SwapV2, Product::Order, rest).unwrap_err();
            assert!(refused.contains(text), "{rest}: {refused}");
        }
        let bare = check_order(Api::UltraV1, Product::Order, "outputMint=x").unwrap_err();
        assert_eq!(bare.to_string(), "Query parameter inputMint is missing");
        for (rest, text) in [
            ("", "taker is missing"),
            (&format!("&taker={SOL}&dexes=A&excludeDexes=B"), "both"),
            (
                &format!("&taker={SOL}&platformFeeBps=20000"),
                "platformFeeBps",
            ),
        ] {
            let refused = check(Api::SwapV2, Product::Build, rest).unwrap_err();
            assert!(refused.contains(text), "{rest}: {refused}");
        }
    }

    #[test]
    fn orders_that_may_be_right_are_jupiters_to_judge() {
        let referral = format!("&referralAccount={SOL}&referralFee=255&payer={USDC}");
        for rest in [
            "",
            "&slippageBps=rtse",
            "&swapMode=ExactIn&excludeRouters=metis,dflow",
            "&new=1&new=2&priorityFeeLamports=1",
            &referral,
        ] {
            assert_eq!(check(Api::SwapV2, Product::Order, rest), Ok(()), "{rest}");
        }
        // Only version 2 is known to have one mode.
        let out = check(Api::UltraV1, Product::Order, "&swapMode=ExactOut");
        assert_eq!(out, Ok(()));
        let build = format!("&taker={SOL}&mode=fast&forJitoBundle=true");
        assert_eq!(check(Api::SwapV2, Product::Build, &build), Ok(()));
    }
}
