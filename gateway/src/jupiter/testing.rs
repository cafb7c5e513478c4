//! Trades for tests.

use perijove_core::market::{Amount, Position, Price};
use perijove_core::redis::Latest;
use perijove_core::{Pubkey, Signature, Slot};

/// A trade at this price: plain digits, at most nine of them behind the point.
pub(super) fn trade(price: &str, quote: Pubkey) -> Latest {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    let amount = |raw: &str| Amount {
        raw: raw.parse().unwrap(),
        decimals: Some(9),
    };
    let paid = format!("{whole}{fraction:0<9}");
    Latest {
        position: Position {
            slot: Slot(1_000),
            transaction: 0,
            instruction: 0,
            ordinal: 0,
        },
        signature: Signature([1; 64]),
        time: 1_763_741_000_000,
        price: Price::ratio(amount(&paid), amount("1000000000")).unwrap(),
        quote,
        pool: Pubkey([9; 32]),
        decimals: 6,
        usd: None,
    }
}
