//! The rules, one transaction at a time.

#![expect(clippy::unnecessary_wraps, reason = "as the messages have their parts")]

mod trades;
mod transfers;

use bytes::Bytes;
use perijove_core::{Pubkey, Slot};
use proptest::prelude::*;

use super::*;
use crate::decode::wire;

const RECORDED: UnixMillis = UnixMillis(1_760_000_000_123);
const MINT: Pubkey = Pubkey([3; 32]);
const POOL: Pubkey = Pubkey([4; 32]);

fn bytes(key: Pubkey) -> Bytes {
    Bytes::copy_from_slice(&key.0)
}

fn side(mint: Pubkey, decimals: u32, amount: u64) -> Option<wire::DexTradeSide> {
    Some(wire::DexTradeSide {
        amount,
        currency: Some(wire::Currency {
            mint_address: bytes(mint),
            decimals,
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// Two tokens of six decimals for 1 SOL, in one pool.
fn event() -> wire::DexTradeEvent {
    wire::DexTradeEvent {
        instruction_index: 9,
        market: Some(wire::DexMarket {
            market_address: bytes(POOL),
            ..Default::default()
        }),
        buy: side(MINT, 6, 2_000_000),
        sell: side(WSOL, 9, 1_000_000_000),
        ..Default::default()
    }
}

fn success() -> Option<wire::TransactionStatus> {
    Some(wire::TransactionStatus {
        success: true,
        ..Default::default()
    })
}

fn transaction(name: u8, trades: Vec<wire::DexTradeEvent>) -> wire::ParsedDexTransaction {
    wire::ParsedDexTransaction {
        index: 5,
        signature: Bytes::from(vec![name; 64]),
        status: success(),
        header: Some(wire::TransactionHeader::default()),
        trades,
    }
}

fn block(transactions: Vec<wire::ParsedDexTransaction>) -> Projected {
    let header = Some(wire::BlockHeader {
        slot: 77,
        ..Default::default()
    });
    project(
        Message::Trades(wire::DexParsedBlockMessage {
            header,
            transactions,
        }),
        RECORDED,
    )
}

fn only(event: wire::DexTradeEvent) -> Trade {
    let mut projected = block(vec![transaction(1, vec![event])]);
    assert_eq!(projected.trades.len(), 1, "{projected:?}");
    projected.trades.remove(0)
}

#[test]
fn a_transaction_that_makes_no_sense_costs_only_itself() {
    let short = wire::ParsedDexTransaction {
        signature: Bytes::from_static(b"short"),
        ..transaction(1, vec![event()])
    };
    let nameless = wire::ParsedDexTransaction {
        signature: Bytes::new(),
        ..transaction(1, vec![event()])
    };
    let mut mint = transaction(2, vec![event(), event()]);
    let bought = mint.trades[1].buy.as_mut().unwrap();
    bought.currency.as_mut().unwrap().mint_address = Bytes::from_static(&[1; 31]);
    let mut places = transaction(3, vec![event()]);
    let bought = places.trades[0].buy.as_mut().unwrap();
    bought.currency.as_mut().unwrap().decimals = 256;
    let projected = block(vec![
        short,
        nameless,
        mint,
        places,
        transaction(4, vec![event()]),
    ]);
    let faults: Vec<_> = projected
        .poisoned
        .iter()
        .map(|one| (one.transaction, one.fault.to_string()))
        .collect();
    assert_eq!(
        faults,
        [
            (0, "signature: expected 64 bytes, found 5".to_owned()),
            (1, "signature is missing".to_owned()),
            (2, "mint: expected 32 bytes, found 31".to_owned()),
            (3, "256 decimals are more than a mint can have".to_owned()),
        ]
    );
    assert_eq!(projected.rows(), 1);
}

#[test]
fn the_time_of_the_block_wins_over_the_time_of_the_record() {
    let header = wire::BlockHeader {
        slot: 77,
        timestamp: 1_700_000_000,
        ..Default::default()
    };
    let message = wire::DexParsedBlockMessage {
        header: Some(header.clone()),
        transactions: vec![transaction(1, vec![event()])],
    };
    let projected = project(Message::Trades(message), RECORDED);
    let expected = UnixMillis(1_700_000_000_000);
    assert_eq!(projected.trades[0].origin.time(), expected);
    let projected = project(Message::Slot(header), RECORDED);
    assert_eq!(
        projected.slots,
        [SlotUpdate {
            slot: Slot(77),
            parent: None,
            height: None,
            hash: Bytes::new(),
            block_time: Some(expected),
            recorded: RECORDED,
        }]
    );
}

proptest! {
    #[test]
    fn every_trade_has_a_name_of_its_own_and_the_same_one_each_time(
        instructions in prop::collection::vec(0_u32..3, 0..12),
    ) {
        let events: Vec<_> = instructions.iter().map(|instruction| wire::DexTradeEvent {
            instruction_index: *instruction,
            ..event()
        }).collect();
        let projected = block(vec![transaction(1, events.clone()), transaction(2, events.clone())]);
        let mut keys: Vec<_> = projected.trades.iter().map(Trade::key).collect();
        prop_assert_eq!(keys.len(), 2 * instructions.len());
        let again = block(vec![transaction(2, events.clone()), transaction(1, events)]);
        let mut others: Vec<_> = again.trades.iter().map(Trade::key).collect();
        keys.sort_unstable();
        others.sort_unstable();
        prop_assert_eq!(&keys, &others);
        keys.dedup();
        prop_assert_eq!(keys.len(), others.len());
    }

    #[test]
    fn the_price_does_not_depend_on_who_bought(
        up in 1_u64.., down in 1_u64.., left: [u8; 32], right: [u8; 32], places in 1_u32..12,
    ) {
        let (left, right) = (Pubkey(left), Pubkey(right));
        prop_assume!(left != right && left != NATIVE_SOL && right != NATIVE_SOL);
        let forth = wire::DexTradeEvent {
            buy: side(left, 6, up),
            sell: side(right, places, down),
            ..event()
        };
        let back = wire::DexTradeEvent {
            buy: forth.sell.clone(),
            sell: forth.buy.clone(),
            ..event()
        };
        let (forth, back) = (only(forth), only(back));
        prop_assert_eq!(forth.pair, back.pair);
        prop_assert_eq!(forth.price, back.price);
        prop_assert_ne!(forth.direction(), back.direction());
    }
}
