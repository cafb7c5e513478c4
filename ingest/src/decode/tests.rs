//! Payloads of every kind, whole and broken.

#![expect(clippy::unnecessary_wraps, reason = "as the messages have their parts")]

use proptest::prelude::*;
use prost::Message as _;

use super::*;

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    transactions: 4,
    items: 6,
};

fn header(slot: u64) -> Option<wire::BlockHeader> {
    Some(wire::BlockHeader {
        slot,
        ..Default::default()
    })
}

fn read(kind: Kind, payload: impl Into<Bytes>) -> Result<Message, DecodeError> {
    decode(kind, Encoding::Auto, Some(&payload.into()), &LIMITS)
}

fn label(kind: Kind, payload: impl Into<Bytes>) -> &'static str {
    read(kind, payload).unwrap_err().label()
}

/// A block with this many transactions of this many trades each.
fn block(transactions: usize, trades: usize) -> wire::DexParsedBlockMessage {
    let transaction = wire::ParsedDexTransaction {
        trades: vec![wire::DexTradeEvent::default(); trades],
        ..Default::default()
    };
    wire::DexParsedBlockMessage {
        header: header(7),
        transactions: vec![transaction; transactions],
    }
}

#[test]
fn each_kind_is_read_as_it_was_written() {
    let trades = block(2, 3);
    assert_eq!(
        read(Kind::Trades, trades.encode_to_vec()).unwrap(),
        Message::Trades(trades)
    );
    let transfers = wire::TokenBlockMessage {
        header: header(7),
        transactions: vec![wire::ParsedTokenTransaction::default()],
    };
    assert_eq!(
        read(Kind::Transfers, transfers.encode_to_vec()).unwrap(),
        Message::Transfers(transfers)
    );
    let transactions = wire::ParsedIdlBlockMessage {
        header: header(u64::MAX),
        transactions: vec![wire::ParsedIdlTransaction::default()],
    };
    assert_eq!(
        read(Kind::Transactions, transactions.encode_to_vec()).unwrap(),
        Message::Transactions(transactions)
    );
}

#[test]
fn a_slot_is_read_from_its_header_alone_and_from_the_head_of_any_block() {
    let alone = wire::BlockHeader {
        slot: 373_108_745,
        timestamp: 1_760_000_000,
        ..Default::default()
    };
    let mut trades = block(1, 1);
    trades.header = Some(alone.clone());
    for payload in [alone.encode_to_vec(), trades.encode_to_vec()] {
        assert_eq!(
            read(Kind::Slots, payload).unwrap(),
            Message::Slot(alone.clone())
        );
    }
}

#[test]
fn a_slot_is_read_from_json_in_every_spelling() {
    for text in [
        r#"{"Header": {"Slot": 9, "ParentSlot": 8, "Hash": "", "Timestamp": null}}"#,
        r#"{"header": {"slot": "9", "parentSlot": "8"}, "more": [1]}"#,
        r#"{"slot": 9, "parent": 8, "root": 1}"#,
        r#"{"slot": 9, "parent_slot": 8, "status": "confirmed"}"#,
    ] {
        let Message::Slot(header) = read(Kind::Slots, text).unwrap() else {
            panic!("{text} is a slot");
        };
        assert_eq!((header.slot, header.parent_slot), (9, 8), "{text}");
    }
}

#[test]
fn json_has_the_published_names_base58_and_perhaps_quoted_numbers() {
    let text = r#"{
        "Header": {"Slot": 373108745, "Hash": "", "Timestamp": 0, "ParentHash": ""},
        "Transactions": [{
            "Index": 233,
            "Signature": "3UrHLDYB5GrpDp1crqgL5duqfVVo3DMuwfM8tYzLmuGYs3VkZhcSGQAdSm9spiJmfgD1p57F56M2av4u2KB2hTfo",
            "Status": {"Success": true, "ErrorMessage": null},
            "Header": null,
            "Trades": [{
                "InstructionIndex": 9,
                "Buy": {"Amount": "18446744073709551615", "AmountInUSD": 1.5,
                    "Currency": {"Symbol": "WSOL", "Decimals": 9, "PriceInUSD": 150.25,
                        "MintAddress": "So11111111111111111111111111111111111111112"}},
                "Instruction": {"Depth": 1, "Program": {"Json": "{}"}}
            }]
        }, {"Trades": null}]
    }"#;
    let Message::Trades(block) = read(Kind::Trades, text).unwrap() else {
        panic!("trades");
    };
    let [transaction, empty] = &block.transactions[..] else {
        panic!("two transactions");
    };
    assert_eq!((transaction.index, transaction.signature.len()), (233, 64));
    assert!(transaction.status.as_ref().unwrap().success);
    assert!(transaction.header.is_none() && empty.trades.is_empty());
    let trade = &transaction.trades[0];
    let bought = trade.buy.as_ref().unwrap();
    assert_eq!((bought.amount, bought.amount_in_usd), (u64::MAX, 1.5));
    let currency = bought.currency.as_ref().unwrap();
    assert_eq!(currency.price_in_usd.to_bits(), 150.25_f32.to_bits());
    assert_eq!(currency.mint_address.len(), 32);
    assert_eq!(trade.instruction.as_ref().unwrap().depth, 1);
}

#[test]
fn what_is_no_message_is_refused_with_its_label() {
    let good = block(1, 1).encode_to_vec();
    let large = vec![0; LIMITS.bytes + 1];
    for (payload, expected) in [
        (Vec::new(), "empty"),
        (large, "too_large"),
        (good[..good.len() - 1].to_vec(), "protobuf"),
        (b"hello".to_vec(), "protobuf"),
        (b"{".to_vec(), "json"),
        (br#"{"Header": {"Slot": -1}}"#.to_vec(), "json"),
        (
            br#"{"Header": {"Slot": 1, "Hash": "0OIl"}}"#.to_vec(),
            "json",
        ),
        (b"{}".to_vec(), "no_slot"),
        (block(0, 0).encode_to_vec()[..0].to_vec(), "empty"),
        (
            wire::DexParsedBlockMessage {
                header: header(0),
                transactions: Vec::new(),
            }
            .encode_to_vec(),
            "no_slot",
        ),
    ] {
        assert_eq!(
            label(Kind::Trades, payload.clone()),
            expected,
            "{payload:?}"
        );
    }
    let none = decode(Kind::Trades, Encoding::Auto, None, &LIMITS);
    assert_eq!(none.unwrap_err().label(), "empty");
    for kind in Kind::ALL {
        assert_eq!(label(kind, "\u{8}"), "protobuf", "{kind:?}");
    }
}

#[test]
fn a_message_of_too_many_parts_is_refused_before_it_is_built() {
    assert!(read(Kind::Trades, block(4, 1).encode_to_vec()).is_ok());
    assert!(read(Kind::Trades, block(2, 3).encode_to_vec()).is_ok());
    assert_eq!(label(Kind::Trades, block(5, 0).encode_to_vec()), "too_many");
    assert_eq!(label(Kind::Trades, block(1, 7).encode_to_vec()), "too_many");
    let json = r#"{"Header": {"Slot": 1}, "Transactions": [{}, {}, {}, {}, {}]}"#;
    assert_eq!(label(Kind::Trades, json), "too_many");
}

#[test]
fn the_encoding_can_be_forced() {
    let json = Bytes::from_static(br#" {"Header": {"Slot": 3}}"#);
    assert!(decode(Kind::Trades, Encoding::Json, Some(&json), &LIMITS).is_ok());
    assert!(decode(Kind::Trades, Encoding::Protobuf, Some(&json), &LIMITS).is_err());
    let protobuf = Bytes::from(block(1, 1).encode_to_vec());
    assert!(decode(Kind::Trades, Encoding::Json, Some(&protobuf), &LIMITS).is_err());
}

#[test]
fn keys_share_the_memory_of_the_payload() {
    let mut block = block(1, 0);
    block.transactions[0].signature = Bytes::from(vec![7; 64]);
    let payload = Bytes::from(block.encode_to_vec());
    let message = decode(Kind::Trades, Encoding::Auto, Some(&payload), &LIMITS).unwrap();
    let Message::Trades(block) = message else {
        panic!("trades");
    };
    let (key, whole) = (&block.transactions[0].signature, payload.as_ptr_range());
    assert!(whole.contains(&key.as_ptr()));
}

proptest! {
    #[test]
    fn nothing_that_comes_in_panics(payload in prop::collection::vec(any::<u8>(), 1..200)) {
        for kind in Kind::ALL {
            drop(read(kind, payload.clone()));
        }
    }

    #[test]
    fn fields_there_are_not_change_nothing(
        field in 100_u32..500, content in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let known = block(2, 1);
        let mut payload = known.encode_to_vec();
        prost::encoding::bytes::encode(field, &content, &mut payload);
        prop_assert_eq!(read(Kind::Trades, payload).unwrap(), Message::Trades(known));
    }
}
