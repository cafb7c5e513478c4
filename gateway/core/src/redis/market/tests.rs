use proptest::prelude::*;

use super::*;
use crate::market::{Amount, Pair, Position, Price};
use crate::redis::{Stamp, names, seal};
use crate::{Pubkey, Signature, Slot};

fn position() -> impl Strategy<Value = Position> {
    (0_u64..4, 0_u32..3, 0_u32..3, 0_u32..3).prop_map(
        |(slot, transaction, instruction, ordinal)| Position {
            slot: Slot(slot << 40 | slot),
            transaction,
            instruction,
            ordinal,
        },
    )
}

fn price() -> impl Strategy<Value = Price> {
    (1_u64.., -60_i16..20)
        .prop_map(|(mantissa, exponent)| Price::from_parts(mantissa, exponent).unwrap())
}

fn key() -> impl Strategy<Value = Pubkey> {
    any::<[u8; 32]>().prop_map(Pubkey)
}

fn amount() -> impl Strategy<Value = Amount> {
    any::<(u64, u8)>().prop_map(|(raw, decimals)| Amount {
        raw,
        decimals: Some(decimals),
    })
}

prop_compose! {
    fn latest()(
        position in position(), name: u8, time: i64, price in price(), quote in key(), pool in key(),
        decimals: u8, usd in prop::option::of(0.000_1_f32..1e9)
    ) -> Latest {
        let signature = Signature([name; 64]);
        Latest { position, signature, time, price, quote, pool, decimals, usd }
    }
}

prop_compose! {
    fn fill()(
        position in position(), name: u8, time: i64, price in price(), base in amount(),
        quote in amount(), pool in key(), buy: bool, jupiter: bool
    ) -> Fill {
        let signature = Signature([name; 64]);
        Fill { position, signature, time, price, base, quote, pool, buy, jupiter }
    }
}

prop_compose! {
    fn candle()(
        position in position(), price in price(), base in amount(), quote in amount()
    ) -> Candle {
        Candle::of(position, price, base, quote)
    }
}

#[test]
fn keys_of_a_pair_share_a_tag() {
    let pair = Pair {
        base: Pubkey([1; 32]),
        quote: Pubkey([2; 32]),
    };
    let keys = names::PairKeys::of(pair);
    let tag = format!("{{{}/{}}}", pair.base, pair.quote);
    assert_eq!(keys.latest(), format!("pj:v1:pair:{tag}:latest"));
    assert_eq!(keys.trades(), format!("pj:v1:pair:{tag}:trades"));
    assert_eq!(
        keys.candles(Interval::Minute, 7_200_000),
        format!("pj:v1:pair:{tag}:candles:1m:7200000")
    );
    assert_eq!(names::price(pair.base), format!("pj:v1:usd:{}", pair.base));
    assert_eq!(names::pool(pair.base), format!("pj:v1:pool:{}", pair.base));
    assert_eq!(names::lane("g", "t", 3), "pj:v1:lane:g:t:3");
}

#[test]
fn candles_begin_at_full_seconds_minutes_and_hours() {
    for (interval, time, start, group) in [
        (Interval::Second, 61_999, 61_000, 60_000),
        (Interval::Minute, 3_661_999, 3_660_000, 3_600_000),
        (Interval::Hour, 90_000_001, 90_000_000, 86_400_000),
        (Interval::Second, -1, -1_000, -60_000),
    ] {
        assert_eq!(interval.start(time), start);
        assert_eq!(interval.group(time), group);
        assert_eq!(interval.group(start), group);
        let field = Field { start, lane: 9 };
        let text = field.encode(interval);
        assert_eq!(Field::decode(text.as_bytes(), interval, group), Some(field));
    }
}

#[test]
fn what_decides_stands_where_the_scripts_look() {
    let (low, high) = (Position::at(1), Position::at(2));
    let latest = |position| {
        let latest = Latest {
            position,
            signature: Signature([7; 64]),
            time: 5,
            price: Price::from_parts(3, -1).unwrap(),
            quote: Pubkey([1; 32]),
            pool: Pubkey([2; 32]),
            decimals: 6,
            usd: None,
        };
        let stamp = Stamp {
            slot: Slot(1),
            written: 1,
        };
        seal("key", stamp, &latest.encode(), usize::MAX).unwrap()
    };
    let (one, other) = (latest(low), latest(high));
    assert!(one[32..116] < other[32..116]);
    assert_eq!(one[52..116], [7; 64]);
    assert!(PAIR.contains("'GETRANGE', KEYS[1], 0, 115") && PAIR.contains("33, 116"));
    let candle = Candle::of(low, Price::from_parts(3, -1).unwrap(), AMOUNT, AMOUNT);
    let part = Part {
        batch: 0x0102,
        candle,
    }
    .encode();
    assert_eq!(part[1..9], 0x0102_u64.to_be_bytes());
    assert!(PAIR.contains("earlier(old, part, 2, 9)"));
}

const AMOUNT: Amount = Amount {
    raw: 1,
    decimals: Some(0),
};

impl Position {
    fn at(slot: u64) -> Self {
        Self {
            slot: Slot(slot),
            transaction: 0,
            instruction: 0,
            ordinal: 0,
        }
    }
}

proptest! {
    #[test]
    fn latest_trades_are_read_as_they_were_written(latest in latest(), more: Vec<u8>) {
        let mut body = latest.encode();
        prop_assert_eq!(Latest::decode(&body), Some(latest));
        prop_assert_eq!(Latest::decode(&body[..body.len() - 1]), None);
        body.extend(more);
        prop_assert_eq!(Latest::decode(&body), Some(latest));
    }

    #[test]
    fn prices_are_read_as_they_were_written(
        usd in 1e-12_f64..1e12, uncertain in 0.0_f64..10.0, decimals: u8, slot: u64, time: i64,
        since: i64, trades: u32, pools: u32, turnover in 0.0_f64..1e12, more: Vec<u8>,
    ) {
        let slot = Slot(slot);
        let dollars =
            Dollars { usd, uncertain, decimals, slot, time, since, trades, pools, turnover };
        let mut body = dollars.encode();
        prop_assert_eq!(Dollars::decode(&body), Some(dollars));
        prop_assert_eq!(Dollars::decode(&body[..body.len() - 1]), None);
        body.extend(more);
        prop_assert_eq!(Dollars::decode(&body), Some(dollars));
        body[0] += 1;
        prop_assert_eq!(Dollars::decode(&body), None);
        let (low, high) = dollars.interval();
        prop_assert!(low <= usd && usd <= high);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-320] {
            prop_assert_eq!(Dollars::decode(&Dollars { usd: bad, ..dollars }.encode()), None);
        }
    }

    #[test]
    fn later_trades_have_greater_bytes(one in latest(), other in latest()) {
        let (a, b) = (one.encode(), other.encode());
        prop_assert_eq!(one.is_later(&other), a[..84] > b[..84]);
    }

    #[test]
    fn fills_are_read_as_they_were_written_and_sort_as_the_chain(one in fill(), other in fill()) {
        let (a, b) = (one.encode(), other.encode());
        prop_assert_eq!(Fill::decode(&a), Some(one));
        prop_assert_eq!(Fill::decode(&a[..a.len() - 1]), None);
        if one.position != other.position {
            prop_assert_eq!(one.position.cmp(&other.position), a.cmp(&b));
        }
    }

    #[test]
    fn a_candle_does_not_depend_on_the_order_of_its_trades(
        candles in prop::collection::vec(candle(), 1..12).prop_shuffle(), at: prop::sample::Index,
    ) {
        let all = |candles: &[Candle]| candles.iter().copied().reduce(Candle::with);
        let mut sorted = candles.clone();
        sorted.sort_by_key(|candle| (candle.open, candle.base));
        let whole = all(&candles).unwrap();
        prop_assert_eq!(all(&sorted), Some(whole));
        let (left, right) = candles.split_at(at.index(candles.len()));
        let halves = [all(left), all(right)].into_iter().flatten().reduce(Candle::with);
        prop_assert_eq!(halves, Some(whole));
        prop_assert_eq!(whole.trades, candles.len() as u64);
        prop_assert!(whole.low <= whole.open.1 && whole.open.1 <= whole.high);
    }

    #[test]
    fn parts_of_lanes_make_one_candle(
        one in candle(), other in candle(), start in 0_i64..60, batch: i64
    ) {
        let field = |lane| Field { start: start * 1000, lane }.encode(Interval::Second);
        let part = |candle| Part { batch, candle }.encode();
        let (a, b, c) = (field(1), field(2), "no field".to_owned());
        let (one_part, other_part) = (part(one), part(other));
        prop_assert_eq!(Part::decode(&one_part), Some(Part { batch, candle: one }));
        let fields = [
            (a.as_bytes(), &one_part[..]),
            (b.as_bytes(), &other_part[..]),
            (c.as_bytes(), &one_part[..]),
            (b.as_bytes(), &other_part[..20]),
        ];
        let candles = Candle::read(Interval::Second, 0, fields);
        prop_assert_eq!(candles.len(), 1);
        prop_assert_eq!(candles.get(&(start * 1000)), Some(&one.with(other)));
    }

    #[test]
    fn what_is_announced_is_heard(pools in prop::collection::vec((key(), any::<u64>()), 0..9)) {
        let pools: Vec<_> = pools.into_iter().map(|(pool, slot)| (pool, Slot(slot))).collect();
        let message = announce(pools.iter().copied());
        prop_assert_eq!(announced(&message).collect::<Vec<_>>(), pools);
        prop_assert_eq!(announced(&[&[2], &message[1..]].concat()).count(), 0);
    }

    #[test]
    fn progress_is_read_as_it_was_written(batch in 0_i64.., since: i64) {
        let progress = Progress { batch, since };
        prop_assert_eq!(Progress::decode(progress.encode().as_bytes()), Some(progress));
    }

    #[test]
    fn no_bytes_whatsoever_do_harm(mut bytes: Vec<u8>) {
        Latest::decode(&bytes);
        Dollars::decode(&bytes);
        Progress::decode(&bytes);
        Field::decode(&bytes, Interval::Hour, i64::MAX);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        Fill::decode(&bytes);
        Part::decode(&bytes);
        prop_assert!(announced(&bytes).count() <= bytes.len());
    }
}
