//! Rows by time: the newest, those of an hour, those that are too old.

use perijove_core::Slot;
use perijove_ingest::config;
use perijove_ingest::generator::Plan;
use perijove_ingest::project::USDC;
use perijove_ingest::record::UnixMillis;

use crate::scene::{DAY, batch, of_day, on_both, open, records, stored};

on_both!(
    old_rows_are_forgotten,
    the_newest_trade_and_the_place_of_the_stream_are_by_time,
    hours_are_summed_up,
    trades_of_a_time_are_counted_as_far_as_needed,
);

async fn old_rows_are_forgotten(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let day = 86_400_000;
    let plan = |days: i64| Plan {
        seed: days.unsigned_abs(),
        first_slot: Slot(1_000_000 * days.unsigned_abs()),
        start: UnixMillis(days * day),
        ..Plan::default()
    };
    let (old, new) = (batch(&records(plan(1), 20)), batch(&records(plan(5), 20)));
    database.commit(&mut lane, &old).await.unwrap();
    let kept = database.commit(&mut lane, &new).await.unwrap();
    assert!(database.forget(UnixMillis(3 * day)).await.unwrap() > 0);
    assert_eq!(stored(&database).await.len(), kept.ticks.len());
    assert_eq!(database.forget(UnixMillis(3 * day)).await.unwrap(), 0);
    // What was forgotten can come again, and so can what comes after it.
    let again = database.commit(&mut lane, &old).await.unwrap();
    assert!(again.new > 0 && again.ticks.len() + kept.ticks.len() == stored(&database).await.len());
}

async fn the_newest_trade_and_the_place_of_the_stream_are_by_time(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    assert_eq!(database.place(None).await.unwrap(), None);
    let mut odd = of_day(1);
    odd.trades.truncate(3);
    for trade in &mut odd.trades {
        trade.origin.slot = Slot(2_000_000_000);
    }
    let mut few = of_day(4);
    few.trades.truncate(10);
    for batch in [odd, few, of_day(5)] {
        database.commit(&mut lane, &batch).await.unwrap();
    }
    let newest = database.newest().await.unwrap().unwrap();
    assert!((5 * DAY..6 * DAY).contains(&newest), "{newest}");
    for (asked, day) in [(None, 5), (Some(5), 4), (Some(9), 5)] {
        let time = asked.map(|days| UnixMillis(days * DAY - 1));
        let (slot, time) = database.place(time).await.unwrap().unwrap();
        let slots = 1_000_000 * day..1_000_000 * day + 50_000;
        assert!(slots.contains(&slot.0), "{asked:?}: {slot:?}");
        assert_eq!(time.0 / DAY, day.cast_signed(), "{asked:?}");
    }
    // Nothing is so old.
    let (slot, _) = database.place(Some(UnixMillis(1))).await.unwrap().unwrap();
    assert!((5_000_000..5_050_000).contains(&slot.0), "{slot:?}");
}

async fn trades_of_a_time_are_counted_as_far_as_needed(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let new = database.commit(&mut lane, &of_day(4)).await.unwrap().new;
    for (days, most, more) in [
        (4..5, new - 1, true),
        (4..5, new, false),
        (0..4, 0, false),
        (5..9, 0, false),
    ] {
        let times = days.start * DAY..days.end * DAY;
        let found = database.has_more(&times, most).await.unwrap();
        assert_eq!(found, more, "{days:?} {most}");
    }
}

async fn hours_are_summed_up(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let mut batch = batch(&records(Plan::default(), 40));
    batch.trades.retain(|trade| trade.market.is_some());
    let (hour, count) = (3_600_000, batch.trades.len());
    for (number, trade) in batch.trades.iter_mut().enumerate() {
        trade.origin.block_time = Some(UnixMillis(if number == 0 { hour } else { 2 * hour }));
        trade.origin.signature.0[0] = u8::try_from(number % 256).unwrap();
        trade.origin.index = u32::try_from(number).unwrap();
        trade.pair.quote = USDC;
        trade.sold.amount.raw = 1_500_000;
        trade.bought.amount.raw = 1_500_000;
    }
    let new = usize::try_from(database.commit(&mut lane, &batch).await.unwrap().new).unwrap();
    assert_eq!(new, count);
    let hours = database.hours(0, 3 * hour).await.unwrap();
    let counted: Vec<_> = hours.iter().map(|hour| (hour.start, hour.trades)).collect();
    assert_eq!(counted, [(hour, 1), (2 * hour, count as u64 - 1)]);
    assert!((hours[0].volume_usd - 1.5).abs() < 1e-9, "{hours:?}");
    assert_eq!(database.hours(0, hour).await.unwrap(), []);
}
