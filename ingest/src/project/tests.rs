//! The rules, one transaction at a time.

#![expect(clippy::unnecessary_wraps, reason = "as the messages have their parts")]

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
fn a_trade_has_its_place_its_sides_and_its_price_both_ways() {
    let trade = only(event());
    assert_eq!(trade.origin.slot, Slot(77));
    assert_eq!((trade.origin.index, trade.instruction), (5, 9));
    assert_eq!(
        (trade.origin.block_time, trade.origin.time()),
        (None, RECORDED)
    );
    assert_eq!(
        (trade.direction(), trade.pair.quote),
        (Direction::Buy, WSOL)
    );
    assert_eq!(trade.base().mint, MINT);
    assert_eq!(trade.price.unwrap().to_string(), "0.5");
    assert!(!trade.jupiter);
}

#[test]
fn a_sale_has_the_price_of_a_purchase() {
    let bought = only(event());
    let sold = only(wire::DexTradeEvent {
        buy: event().sell,
        sell: event().buy,
        ..event()
    });
    assert_eq!(sold.direction(), Direction::Sell);
    assert_eq!((sold.pair, sold.price), (bought.pair, bought.price));
}

#[test]
fn native_sol_is_priced_as_wrapped_sol_and_not_against_it() {
    let trade = only(wire::DexTradeEvent {
        sell: side(NATIVE_SOL, 0, 1_000_000_000),
        ..event()
    });
    assert_eq!((trade.sold.mint, trade.pair.quote), (NATIVE_SOL, WSOL));
    assert_eq!(trade.price.unwrap().to_string(), "0.5");
    let wrapped = only(wire::DexTradeEvent {
        buy: side(WSOL, 9, 1_000_000_000),
        sell: side(NATIVE_SOL, 9, 1_000_000_000),
        ..event()
    });
    assert_eq!(wrapped.price, None);
}

#[test]
fn decimals_come_from_the_currency_then_from_the_account() {
    let account = |mint: Pubkey, decimals: u32| wire::Account {
        token: Some(wire::TokenInfo {
            mint: bytes(mint),
            decimals,
            ..Default::default()
        }),
        ..Default::default()
    };
    for (said, symbol, account, expected) in [
        (6, "", None, Some(6)),
        (0, "", None, None),
        (0, "NFT", None, Some(0)),
        (0, "", Some(account(MINT, 8)), Some(8)),
        (0, "", Some(account(MINT, 0)), Some(0)),
        (0, "", Some(account(POOL, 8)), None),
        (6, "", Some(account(MINT, 8)), Some(6)),
    ] {
        let mut event = event();
        let bought = event.buy.as_mut().unwrap();
        bought.account.clone_from(&account);
        let currency = bought.currency.as_mut().unwrap();
        currency.decimals = said;
        currency.symbol = symbol.to_owned();
        let trade = only(event);
        assert_eq!(trade.bought.amount.decimals, expected, "{said} {account:?}");
        assert_eq!(trade.price.is_some(), expected.is_some());
    }
}

#[test]
fn what_an_aggregator_tells_of_its_route_has_no_price() {
    let trade = only(wire::DexTradeEvent {
        market: None,
        ..event()
    });
    assert_eq!((trade.market, trade.price), (None, None));
}

#[test]
fn jupiter_is_seen_in_a_called_trade_of_its_transaction() {
    let deep = Some(wire::InstructionDepth { depth: 1 });
    for (accounts, depth, program, expected) in [
        (vec![JUPITER[0]], deep, POOL, true),
        (vec![MINT, JUPITER[1]], deep, POOL, true),
        (vec![JUPITER[0]], None, POOL, false),
        (vec![MINT], deep, POOL, false),
        (vec![], None, JUPITER[0], true),
    ] {
        let mut transaction = transaction(1, vec![event()]);
        transaction.trades[0].instruction = depth;
        transaction.trades[0].dex = Some(wire::DexInfo {
            program_address: bytes(program),
            ..Default::default()
        });
        let accounts = accounts.into_iter().map(|key| wire::AccountKey {
            address: bytes(key),
        });
        transaction.header.as_mut().unwrap().accounts = accounts.collect();
        let projected = block(vec![transaction]);
        assert_eq!(projected.trades[0].jupiter, expected, "{program} {depth:?}");
    }
}

#[test]
fn failed_repeated_and_empty_trades_are_passed_over_and_counted() {
    let failed = wire::ParsedDexTransaction {
        status: Some(wire::TransactionStatus::default()),
        ..transaction(1, vec![event(), event()])
    };
    let silent = wire::ParsedDexTransaction {
        status: None,
        ..transaction(2, vec![event()])
    };
    let nothing = wire::DexTradeEvent {
        buy: side(MINT, 6, 0),
        ..event()
    };
    let nameless = wire::DexTradeEvent {
        sell: None,
        ..event()
    };
    let good = transaction(3, vec![nothing, nameless, event()]);
    let projected = block(vec![failed, silent, good.clone(), good]);
    let counts: Vec<_> = projected
        .skipped
        .iter()
        .map(|(skip, count)| (skip.label(), count))
        .collect();
    assert_eq!(
        counts,
        [
            ("failed", 3),
            ("duplicate", 3),
            ("no_amount", 1),
            ("no_mint", 1)
        ]
    );
    assert_eq!(projected.skipped.of(Skip::Failed), 3);
    // The third of its instruction, whatever became of the others.
    assert_eq!(projected.trades.len(), 1);
    assert_eq!(projected.trades[0].key().ordinal, 2);
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
fn dollars_are_kept_where_the_message_has_them() {
    for (said, expected) in [
        (0.0, None),
        (1.5, Some(1.5)),
        (f32::NAN, None),
        (f32::INFINITY, None),
        (-1.0, None),
    ] {
        let mut event = event();
        let bought = event.buy.as_mut().unwrap();
        bought.amount_in_usd = said;
        bought.currency.as_mut().unwrap().price_in_usd = said;
        let trade = only(event);
        assert_eq!(
            (trade.bought.usd, trade.bought.unit_usd),
            (expected, expected)
        );
        assert_eq!(trade.sold.usd, None);
    }
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

#[test]
fn scaled_amounts_and_tokens_that_may_bear_a_fee_are_told_apart_from_others() {
    for (program, multiplier, token_2022, scaled) in [
        (Some(TOKEN_2022), 1.25, true, Some(1.25)),
        (Some(TOKEN_2022), 1.0, true, None),
        (Some(TOKEN_2022), 0.0, true, None),
        (Some(TOKEN_2022), f64::NAN, true, None),
        (Some(TOKEN_2022), -2.0, true, None),
        (Some(WSOL), 0.0, false, None),
        (None, 0.0, false, None),
    ] {
        let mut trade = event();
        let bought = trade.buy.as_mut().and_then(|side| side.currency.as_mut());
        let bought = bought.unwrap();
        bought.program_address = program.map(bytes).unwrap_or_default();
        bought.multiplier = multiplier;
        let projected = block(vec![transaction(1, vec![trade])]);
        let trade = &projected.trades[0];
        let expected = Extensions {
            token_2022,
            multiplier: scaled,
        };
        assert_eq!(trade.base().extensions, expected);
        assert_eq!(trade.quote().extensions, Extensions::default());
        // The amount and the price are those of the unscaled token.
        assert_eq!(trade.base().amount.raw, 2_000_000);
        assert_eq!(
            trade.price.map(|price| price.to_string()).as_deref(),
            Some("0.5")
        );
    }
}

#[test]
fn transfers_have_both_ends_and_may_lack_one() {
    let account = |owner: Option<Pubkey>| wire::Account {
        address: bytes(POOL),
        token: owner.map(|owner| wire::TokenInfo {
            mint: bytes(MINT),
            owner: bytes(owner),
            decimals: 6,
        }),
    };
    let event = |currency| wire::Transfer {
        instruction_index: 2,
        amount: u64::MAX,
        sender: Some(account(Some(WSOL))),
        receiver: None,
        authority: Some(wire::AccountKey {
            address: bytes(USDC),
        }),
        currency,
        amount_in_usd: 2.5,
    };
    let currency = wire::Currency {
        mint_address: bytes(MINT),
        ..Default::default()
    };
    let message = wire::TokenBlockMessage {
        header: None,
        transactions: vec![wire::ParsedTokenTransaction {
            signature: Bytes::from(vec![1; 64]),
            status: success(),
            transfers: vec![event(None), event(Some(currency))],
            ..Default::default()
        }],
    };
    let projected = project(Message::Transfers(message), RECORDED);
    assert_eq!(projected.skipped.of(Skip::NoMint), 1);
    let [transfer] = &projected.transfers[..] else {
        panic!("one transfer: {projected:?}");
    };
    assert_eq!((transfer.key().instruction, transfer.key().ordinal), (2, 1));
    assert_eq!(
        transfer.amount.decimal().as_deref(),
        Some("18446744073709.551615")
    );
    let sender = Party {
        account: Some(POOL),
        owner: Some(WSOL),
    };
    assert_eq!(
        (transfer.sender, transfer.receiver),
        (sender, Party::default())
    );
    assert_eq!((transfer.authority, transfer.usd), (Some(USDC), Some(2.5)));
    assert_eq!(transfer.received, None);
}

#[test]
fn transactions_are_kept_with_their_programs_also_when_they_failed() {
    let call = |program: Option<Pubkey>| wire::ParsedIdlInstruction {
        program: program.map(|program| wire::Program {
            address: bytes(program),
            ..Default::default()
        }),
        ..Default::default()
    };
    let one = wire::ParsedIdlTransaction {
        signature: Bytes::from(vec![1; 64]),
        status: Some(wire::TransactionStatus {
            success: false,
            error_message: "slippage".to_owned(),
        }),
        header: Some(wire::TransactionHeader {
            fee: 5000,
            signer: bytes(USDC),
            ..Default::default()
        }),
        parsed_idl_instructions: vec![
            call(Some(POOL)),
            call(None),
            call(Some(JUPITER[0])),
            call(Some(POOL)),
        ],
        ..Default::default()
    };
    let message = wire::ParsedIdlBlockMessage {
        header: None,
        transactions: vec![one.clone(), one],
    };
    let projected = project(Message::Transactions(message), RECORDED);
    assert_eq!(projected.skipped.of(Skip::Duplicate), 1);
    let [row] = &projected.transactions[..] else {
        panic!("one transaction: {projected:?}");
    };
    assert!(!row.success && row.jupiter);
    assert_eq!(
        (row.error.as_str(), row.fee, row.instructions),
        ("slippage", 5000, 4)
    );
    assert_eq!(row.programs, [POOL, JUPITER[0]]);
    assert_eq!((row.signer, row.fee_payer), (Some(USDC), None));
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
