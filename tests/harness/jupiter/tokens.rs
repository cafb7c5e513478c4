//! The tokens that can be swapped: a few well-known ones and some made-up ones.

use crate::sandbox::accounts::made_up;

/// Wrapped SOL.
pub const SOL: &str = "So11111111111111111111111111111111111111112";
/// USDC.
pub const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

/// Tokens beside those that everybody knows.
const STRANGERS: u64 = 20;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub mint: String,
    pub symbol: String,
    pub decimals: u32,
    /// What one costs when the market opens, in micro-dollars.
    pub price: u64,
    /// Whether routes may pass through it.
    pub intermediate: bool,
}

impl Token {
    /// Units of the smallest size that so many dollars buy when the market opens.
    pub fn units(&self, dollars: u64) -> u128 {
        let micros = u128::from(dollars) * 1_000_000;
        micros * 10_u128.pow(self.decimals) / u128::from(self.price.max(1))
    }
}

/// All tokens, SOL and USDC first.
pub fn all() -> Vec<Token> {
    let known = [
        (SOL, "SOL", 9, 150_000_000, true),
        (USDC, "USDC", 6, 1_000_000, true),
        (
            "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
            "USDT",
            6,
            1_000_000,
            false,
        ),
        (
            "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN",
            "JUP",
            6,
            400_000,
            false,
        ),
        (
            "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263",
            "BONK",
            5,
            25,
            false,
        ),
    ];
    let known = known.map(|(mint, symbol, decimals, price, intermediate)| Token {
        mint: mint.to_owned(),
        symbol: symbol.to_owned(),
        decimals,
        price,
        intermediate,
    });
    let strangers = (0..STRANGERS).map(|number| Token {
        mint: made_up(70_000 + number),
        symbol: format!("T{number}"),
        decimals: 6,
        price: 1_000 * (number + 1) * (number + 1),
        intermediate: false,
    });
    known.into_iter().chain(strangers).collect()
}
