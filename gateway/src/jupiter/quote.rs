//! A quote's query: what cannot be right is refused before an upstream is asked, and what is right
//! has a canonical form, under which its answer is kept.

use std::borrow::Cow;

use perijove_core::Pubkey;
use url::form_urlencoded;

/// Longer queries are nobody's.
const LONGEST: usize = 8 * 1024;

/// The largest limit of accounts that Jupiter takes.
const MOST_ACCOUNTS: u64 = 64;

/// All of an amount.
const ALL_BPS: u64 = 10_000;

/// Why a query can be answered by no Jupiter. The texts are the client's to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteFault {
    #[error("Query parameter {name} is missing")]
    Missing { name: &'static str },
    #[error("Query parameter {name} is given twice")]
    Twice { name: &'static str },
    #[error("Query parameter {name} cannot be parsed: {reason}")]
    Unreadable {
        name: &'static str,
        reason: &'static str,
    },
    #[error("Query parameters dexes and excludeDexes cannot both be given")]
    BothDexes,
    #[error("Query parameter maxAccounts is greater than {MOST_ACCOUNTS}")]
    TooManyAccounts,
    #[error("The query is not UTF-8, or too long")]
    NotText,
}

impl QuoteFault {
    /// Jupiter's name for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyAccounts => "MAX_ACCOUNT_GREATER_THAN_MAX",
            _ => "NOT_SUPPORTED",
        }
    }
}

/// Which amount is fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwapMode {
    #[default]
    ExactIn,
    ExactOut,
}

/// A query that could be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteQuery {
    pub input_mint: Pubkey,
    pub output_mint: Pubkey,
    pub amount: u64,
    pub mode: SwapMode,
    /// Names and values, decoded, in the order in which they came.
    parameters: Vec<(String, String)>,
}

/// Parameters that there is only one of.
const SINGLE: [&str; 14] = [
    "inputMint",
    "outputMint",
    "amount",
    "swapMode",
    "slippageBps",
    "platformFeeBps",
    "maxAccounts",
    "restrictIntermediateTokens",
    "onlyDirectRoutes",
    "asLegacyTransaction",
    "instructionVersion",
    "dynamicSlippage",
    "forJitoBundle",
    "autoSlippage",
];

/// Lists, which clients write with commas or by repetition.
const LISTS: [&str; 2] = ["dexes", "excludeDexes"];

impl QuoteQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// What cannot be right about it. What is only unknown is not refused.
    pub fn read(query: &str) -> Result<Self, QuoteFault> {
        if query.len() > LONGEST {
            return Err(QuoteFault::NotText);
        }
        let decoded = form_urlencoded::parse(query.as_bytes());
        let parameters: Vec<_> = decoded
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        // What is no UTF-8 has been replaced, and is not to be told apart any more.
        let replaced = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
        if parameters
            .iter()
            .any(|(name, value)| replaced(name) || replaced(value))
        {
            return Err(QuoteFault::NotText);
        }
        let read = Parameters(&parameters);
        for name in SINGLE {
            if read.all(name).count() > 1 {
                return Err(QuoteFault::Twice { name });
            }
        }
        let input_mint = read.mint("inputMint")?;
        let output_mint = read.mint("outputMint")?;
        let amount = read.amount()?;
        let mode = read.mode()?;
        read.number("slippageBps", ALL_BPS)?;
        read.number("platformFeeBps", ALL_BPS)?;
        if read.number("maxAccounts", u64::MAX)? > Some(MOST_ACCOUNTS) {
            return Err(QuoteFault::TooManyAccounts);
        }
        let named = |name| read.all(name).any(|value| !value.trim().is_empty());
        if named("dexes") && named("excludeDexes") {
            return Err(QuoteFault::BothDexes);
        }
        Ok(Self {
            input_mint,
            output_mint,
            amount,
            mode,
            parameters,
        })
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        Parameters(&self.parameters).all(name).next()
    }

    /// Bytes that are the same for all queries that mean the same, and for no others. Each part has its
    /// length before it; parameters that are not known are part of it as they are.
    pub fn canonical(&self) -> Vec<u8> {
        let mut parts: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(self.parameters.len());
        for (name, value) in &self.parameters {
            if LISTS.contains(&name.as_str()) || (name == "dynamicSlippage" && value == "false") {
                continue;
            }
            parts.push((name, Cow::Borrowed(value)));
        }
        for name in LISTS {
            if let Some(list) = self.list(name) {
                parts.push((name, Cow::Owned(list)));
            }
        }
        // Stable: what is given more than once stays in its order.
        parts.sort_by_key(|(name, _)| *name);
        let mut bytes = Vec::with_capacity(256);
        for (name, value) in &parts {
            part(&mut bytes, name.as_bytes());
            part(&mut bytes, value.as_bytes());
        }
        bytes
    }

    /// A list's members in their order, each once.
    fn list(&self, name: &str) -> Option<String> {
        let mut all = Parameters(&self.parameters).all(name).peekable();
        all.peek()?;
        let mut members: Vec<_> = all
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .collect();
        members.sort_unstable();
        members.dedup();
        Some(members.join(","))
    }
}

fn part(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
}

#[derive(Clone, Copy)]
struct Parameters<'q>(&'q [(String, String)]);

impl<'q> Parameters<'q> {
    fn all(self, name: &str) -> impl Iterator<Item = &'q str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &'static str) -> Result<&'q str, QuoteFault> {
        let value = self.all(name).next().filter(|value| !value.is_empty());
        value.ok_or(QuoteFault::Missing { name })
    }

    fn mint(&self, name: &'static str) -> Result<Pubkey, QuoteFault> {
        let value = self.required(name)?;
        value.parse().map_err(|_error| QuoteFault::Unreadable {
            name,
            reason: "not the address of a mint",
        })
    }

    fn amount(&self) -> Result<u64, QuoteFault> {
        let name = "amount";
        let reason = match digits(self.required(name)?) {
            Some(0) => "must be above zero",
            Some(amount) => return Ok(amount),
            None => "not a whole number of 64 bits",
        };
        Err(QuoteFault::Unreadable { name, reason })
    }

    fn mode(&self) -> Result<SwapMode, QuoteFault> {
        match self.all("swapMode").next() {
            None | Some("ExactIn") => Ok(SwapMode::ExactIn),
            Some("ExactOut") => Ok(SwapMode::ExactOut),
            Some(_) => Err(QuoteFault::Unreadable {
                name: "swapMode",
                reason: "neither ExactIn nor ExactOut",
            }),
        }
    }

    fn number(&self, name: &'static str, most: u64) -> Result<Option<u64>, QuoteFault> {
        let Some(value) = self.all(name).next() else {
            return Ok(None);
        };
        let number = digits(value).filter(|number| *number <= most);
        number.map(Some).ok_or(QuoteFault::Unreadable {
            name,
            reason: "not a whole number within its bounds",
        })
    }
}

/// Digits only: no sign, no fraction, no exponent.
fn digits(value: &str) -> Option<u64> {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

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
        let value =
            prop::sample::select(vec!["", "1", "2", "A", "A,B", "B,A", "false", "true", "w1"]);
        let pair = (name, value).prop_map(|(name, value)| (name.to_owned(), value.to_owned()));
        prop::collection::vec(pair, 0..4)
    }
}
