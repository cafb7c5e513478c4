//! The made-up stream is what it says, and is read as a real one would be.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::decode::{Encoding, Kind, Limits, decode};
use crate::project::{Projected, Skip, Trade, project};

fn read(record: &Record) -> Projected {
    let payload = record.payload.as_ref();
    let message = decode(Kind::Trades, Encoding::Auto, payload, &Limits::default()).unwrap();
    project(message, record.timestamp.unwrap())
}

#[test]
fn the_same_plan_gives_the_same_records_and_another_seed_gives_others() {
    let made = |seed| -> Vec<Record> {
        let plan = Plan {
            seed,
            ..Plan::default()
        };
        Generator::new(plan).take(50).collect()
    };
    assert_eq!(made(7), made(7));
    assert_ne!(made(7), made(8));
}

#[test]
fn offsets_follow_each_other_and_a_slot_keeps_to_its_partition() {
    let mut next = BTreeMap::new();
    let mut of_slot = BTreeMap::new();
    for record in Generator::new(Plan::default()).take(400) {
        let offset = next.entry(record.place.partition).or_insert(0);
        assert_eq!(record.place.offset, *offset);
        *offset += 1;
        let partition = *of_slot.entry(record.key).or_insert(record.place.partition);
        assert_eq!(partition, record.place.partition);
    }
    assert_eq!(next.len(), 4);
}

#[test]
fn everything_downstream_has_to_cope_with_comes_up() {
    let mut trades: Vec<Trade> = Vec::new();
    let (mut failed, mut timed, mut names) = (0, 0, BTreeSet::new());
    let mut repeated = 0;
    for record in Generator::new(Plan::default()).take(400) {
        let projected = read(&record);
        assert!(projected.poisoned.is_empty());
        failed += projected.skipped.of(Skip::Failed);
        timed += u32::from(
            projected
                .trades
                .iter()
                .any(|trade| trade.origin.block_time.is_some()),
        );
        for trade in projected.trades {
            if names.insert(trade.key()) {
                trades.push(trade);
            } else {
                repeated += 1;
            }
        }
    }
    assert!(failed > 0 && timed > 0 && repeated > 0 && trades.len() > 3000);
    let sums = trades.iter().filter(|trade| trade.market.is_none());
    assert!(sums.count() > 100);
    assert!(
        trades
            .iter()
            .all(|trade| trade.market.is_none() || trade.price.is_some())
    );
    let share = |counted: fn(&Trade) -> bool| {
        let count = trades.iter().filter(|trade| counted(trade)).count();
        100 * count / trades.len()
    };
    assert!((10..90).contains(&share(|trade| trade.jupiter)));
    assert!((60..95).contains(&share(|trade| trade.bought.usd.is_some())));
    assert!(trades.iter().any(|trade| trade.ordinal > 0));
    let mut pairs: BTreeMap<_, usize> = BTreeMap::new();
    for trade in &trades {
        *pairs.entry(trade.pair).or_default() += 1;
    }
    let hottest = pairs.values().max().unwrap();
    assert!(pairs.len() > 100 && hottest * pairs.len() > 5 * trades.len());
}

#[test]
fn prices_in_dollars_agree_with_the_amounts() {
    for trade in Generator::new(Plan::default())
        .take(40)
        .flat_map(|record| read(&record).trades)
    {
        let (Some(price), Some(base), Some(quote)) =
            (trade.price, trade.base().unit_usd, trade.quote().unit_usd)
        else {
            continue;
        };
        // Few base units make a coarse price.
        if trade.base().amount.raw > 1_000_000 && trade.quote().amount.raw > 1_000_000 {
            let told = f64::from(base) / f64::from(quote);
            assert!((price.to_f64() / told - 1.0).abs() < 1e-4, "{price} {told}");
        }
    }
}

#[test]
fn poison_is_of_both_kinds() {
    let plan = Plan {
        poison: 0.2,
        ..Plan::default()
    };
    let (mut records, mut transactions) = (0, 0);
    for record in Generator::new(plan).take(200) {
        let payload = record.payload.as_ref();
        match decode(Kind::Trades, Encoding::Auto, payload, &Limits::default()) {
            Ok(message) => transactions += project(message, UnixMillis(0)).poisoned.len(),
            Err(_) => records += 1,
        }
    }
    assert!(records > 5 && transactions > 50, "{records} {transactions}");
}

#[test]
fn ballast_makes_a_message_larger_and_changes_no_row() {
    let made = |ballast| {
        let plan = Plan {
            ballast,
            messages_per_block: 1,
            ..Plan::default()
        };
        Generator::new(plan).next().unwrap()
    };
    let (light, heavy) = (made(0), made(10_000));
    let size = |record: &Record| record.payload.as_ref().unwrap().len();
    let transactions = read(&light).trades.len() / 4;
    assert!(size(&heavy) > size(&light) + transactions * 10_000 / 3);
    // The ballast takes from the same source of chance, so only the first transaction is the same.
    assert_eq!(read(&light).trades.first(), read(&heavy).trades.first());
}
