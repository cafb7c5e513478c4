//! A quote's query: an invalid one is refused before an upstream is asked, and a valid one has a
//! canonical form, under which its answer is kept.

use std::borrow::Cow;

use perijove_core::Pubkey;

use super::parameters::{ALL_BPS, Pairs, Parameters, QueryFault, decode};

/// The largest account limit that Jupiter accepts.
const MOST_ACCOUNTS: u64 = 64;

/// Which amount is fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwapMode {
    #[default]
    ExactIn,
    ExactOut,
}

impl SwapMode {
    /// As Jupiter writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactIn => "ExactIn",
            Self::ExactOut => "ExactOut",
        }
    }
}

/// A valid query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteQuery {
    pub input_mint: Pubkey,
    pub output_mint: Pubkey,
    pub amount: u64,
    pub mode: SwapMode,
    parameters: Pairs,
}

/// Parameters that may be given only once.
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

/// Boolean parameters.
const FLAGS: [&str; 5] = [
    "restrictIntermediateTokens",
    "onlyDirectRoutes",
    "asLegacyTransaction",
    "dynamicSlippage",
    "forJitoBundle",
];

/// Lists, which clients write with commas or by repetition.
const LISTS: [&str; 2] = ["dexes", "excludeDexes"];

impl QuoteQuery {
    /// Parses a query.
    ///
    /// # Errors
    /// What is invalid. Unknown parameters are not refused.
    pub fn read(query: &str) -> Result<Self, QueryFault> {
        let parameters = decode(query)?;
        let read = Parameters(&parameters);
        read.once(&SINGLE)?;
        let input_mint = read.mint("inputMint")?;
        let output_mint = read.mint("outputMint")?;
        let amount = read.amount()?;
        let mode = mode(read)?;
        read.number("slippageBps", ALL_BPS)?;
        read.number("platformFeeBps", ALL_BPS)?;
        if read.number("maxAccounts", u64::MAX)? > Some(MOST_ACCOUNTS) {
            return Err(QueryFault::TooManyAccounts {
                most: MOST_ACCOUNTS,
            });
        }
        for name in FLAGS {
            read.flag(name)?;
        }
        read.word("instructionVersion", &["V1", "V2"], "neither V1 nor V2")?;
        read.not_both("dexes", "excludeDexes")?;
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
        Parameters(&self.parameters).get(name)
    }

    /// Bytes that are equal for queries with the same meaning, and only for those. Each part is
    /// preceded by its length; unknown parameters are included as written.
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
        // Stable: repeated parameters stay in their order.
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

/// Which amount is fixed, as the query says.
pub(super) fn mode(read: Parameters<'_>) -> Result<SwapMode, QueryFault> {
    let reason = "neither ExactIn nor ExactOut";
    Ok(
        match read.word("swapMode", &["ExactIn", "ExactOut"], reason)? {
            Some("ExactOut") => SwapMode::ExactOut,
            _ => SwapMode::ExactIn,
        },
    )
}

#[cfg(test)]
mod tests;
