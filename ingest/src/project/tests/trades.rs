//! Trades.

use super::*;

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
