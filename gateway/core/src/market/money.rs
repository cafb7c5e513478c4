//! The tokens that others are priced in.

use crate::Pubkey;

pub const USDC: Pubkey = address(b"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
pub const USDT: Pubkey = address(b"Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB");
pub const PYUSD: Pubkey = address(b"2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo");
pub const USDS: Pubkey = address(b"USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA");
/// Wrapped SOL, the token that is traded.
pub const WSOL: Pubkey = address(b"So11111111111111111111111111111111111111112");

/// The tokens that prices are expressed in, in order of precedence: if two of them are traded for
/// each other, the latter is priced in the former. So the first has no price of its own.
pub const MONEY: [Pubkey; 3] = [USDC, USDT, WSOL];

/// The tokens that are meant to be worth a dollar each, from which the dollar is derived. All have
/// [`STABLE_DECIMALS`].
pub const STABLES: [Pubkey; 4] = [USDC, USDT, PYUSD, USDS];

pub const STABLE_DECIMALS: u8 = 6;

/// Of SOL, wrapped or not.
pub const SOL_DECIMALS: u8 = 9;

const fn address(text: &[u8]) -> Pubkey {
    Pubkey(bs58::decode(text).into_array_const_unwrap::<32>())
}
