//! Well-known programs and tokens, and which token of a pair a price is expressed in.

use std::cmp::Ordering;

use perijove_core::Pubkey;
use perijove_core::market::{MONEY, Pair};
pub use perijove_core::market::{USDC, USDT, WSOL};

/// The native token as Bitquery names it: the system program.
pub const NATIVE_SOL: Pubkey = address(b"11111111111111111111111111111111");

/// Jupiter's routing programs, the current one first.
pub const JUPITER: [Pubkey; 2] = [
    address(b"JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"),
    address(b"JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB"),
];

/// The second program of tokens, with extensions.
pub const TOKEN_2022: Pubkey = address(b"TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");

const fn address(text: &[u8]) -> Pubkey {
    Pubkey(bs58::decode(text).into_array_const_unwrap::<32>())
}

/// What a market says about its pair, as far as it does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DeclaredPair {
    pub(super) base: Option<Pubkey>,
    pub(super) quote: Option<Pubkey>,
}

/// Which of two tokens is the base: as the market says, else the one that is not a quote token,
/// else the lesser address, so that every trade of two tokens has the same orientation.
pub(super) fn pair(left: Pubkey, right: Pubkey, declared: DeclaredPair) -> Pair {
    let forth = Pair {
        base: left,
        quote: right,
    };
    let back = Pair {
        base: right,
        quote: left,
    };
    if declared.base == Some(left) || declared.quote == Some(right) {
        return forth;
    }
    if declared.base == Some(right) || declared.quote == Some(left) {
        return back;
    }
    let rank = |token: Pubkey| {
        MONEY
            .iter()
            .position(|money| *money == token)
            .unwrap_or(MONEY.len())
    };
    match rank(left).cmp(&rank(right)) {
        Ordering::Greater => forth,
        Ordering::Equal if left <= right => forth,
        Ordering::Less | Ordering::Equal => back,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Pubkey = Pubkey([1; 32]);
    const HIGH: Pubkey = Pubkey([2; 32]);

    #[test]
    fn the_base_is_what_the_market_says_then_what_is_not_money() {
        let none = DeclaredPair::default();
        let base = |token| DeclaredPair {
            base: Some(token),
            quote: None,
        };
        let quote = |token| DeclaredPair {
            base: None,
            quote: Some(token),
        };
        for (left, right, declared, expected) in [
            (LOW, HIGH, base(HIGH), HIGH),
            (HIGH, LOW, base(HIGH), HIGH),
            (LOW, HIGH, quote(LOW), HIGH),
            (WSOL, LOW, base(WSOL), WSOL),
            (WSOL, LOW, none, LOW),
            (LOW, WSOL, none, LOW),
            (WSOL, USDC, none, WSOL),
            (USDC, USDT, none, USDT),
            (HIGH, LOW, none, LOW),
            (LOW, HIGH, base(WSOL), LOW),
        ] {
            let pair = pair(left, right, declared);
            assert_eq!(pair.base, expected, "{left} {right} {declared:?}");
            assert_eq!(pair.quote, if expected == left { right } else { left });
        }
    }
}
