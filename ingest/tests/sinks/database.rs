//! What is promised of the database, of both kinds of it.

use std::collections::HashMap;

use perijove_core::{Pubkey, Slot};
use perijove_ingest::config;
use perijove_ingest::dead_letter::DeadLetter;
use perijove_ingest::generator::Plan;
use perijove_ingest::project::{
    Amount, Extensions, Origin, Party, Poisoned, ProjectError, SlotUpdate, TransactionRow,
    Transfer, USDC,
};
use perijove_ingest::record::{Place, Record, UnixMillis};
use perijove_ingest::sink::database::{
    CommitOutcome, Database, DatabaseError, DeadLetterFilter, RowBatch, StoredTick, TickQuery,
};
use perijove_ingest::sink::tick::Tick;
use sqlx::Connection as _;

use crate::scene::{batch, on_both, open, records};

on_both!(
    trades_are_stored_once_however_often_they_come,
    what_is_stored_comes_back_as_it_was,
    only_the_last_to_claim_a_lane_may_write_it,
    a_commit_whose_end_was_not_seen_is_found_out_about,
    what_a_batch_came_to_is_read_back,
    a_lane_goes_on_where_it_was_left,
    a_gap_is_stored_with_the_offset_behind_it_or_not_at_all,
    transfers_transactions_and_slots_are_stored_once,
    dead_letters_are_kept_until_they_can_be_used,
    every_record_at_a_place_is_a_letter_of_its_own,
    letters_of_an_earlier_version_are_recognized,
    trades_of_any_size_and_text_are_stored,
    old_rows_are_forgotten,
    the_newest_trade_and_the_place_of_the_stream_are_by_time,
    hours_are_summed_up,
    trades_of_a_time_are_counted_as_far_as_needed,
    a_batch_that_is_refused_leaves_nothing_behind,
);

async fn stored(database: &Database) -> Vec<StoredTick> {
    let mut all = Vec::new();
    let everything = TickQuery {
        from: -1,
        ..TickQuery::default()
    };
    let each = |stored| all.push(stored);
    database.ticks(&everything, each).await.unwrap();
    all.sort_by_key(|stored: &StoredTick| (stored.tick.position, stored.tick.signature));
    all
}

async fn trades_are_stored_once_however_often_they_come(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let records = records(Plan::default(), 60);
    let first = database.commit(&mut lane, &batch(&records)).await.unwrap();
    assert!(first.new > 100, "{first:?}");
    let before = stored(&database).await;
    assert_eq!(before.len(), first.ticks.len());

    let again = database.commit(&mut lane, &batch(&records)).await.unwrap();
    assert_eq!((again.new, again.ticks.len()), (0, 0));
    assert_eq!(again.known, first.new + first.known);
    assert_eq!(again.previous, first.batch);
    assert!(again.batch > first.batch);
    assert_eq!(stored(&database).await, before);

    // By another lane, and one by one.
    let mut other = database.claim("group", "topic", 1).await.unwrap();
    for record in &records {
        let one = batch(std::slice::from_ref(record));
        assert_eq!(database.commit(&mut other, &one).await.unwrap().new, 0);
    }
    assert_eq!(stored(&database).await, before);
}

async fn what_is_stored_comes_back_as_it_was(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let batch = batch(&records(Plan::default(), 60));
    let committed = database.commit(&mut lane, &batch).await.unwrap();
    let mut expected: HashMap<_, _> = HashMap::new();
    for trade in &batch.trades {
        let name = (trade.position(), trade.origin.signature);
        expected.entry(name).or_insert_with(|| Tick::of(trade));
    }
    let mut expected: Vec<Tick> = expected.into_values().flatten().collect();
    let order = |tick: &Tick| (tick.position, tick.signature);
    expected.sort_by_key(order);
    let mut said = committed.ticks.clone();
    said.sort_by_key(order);
    assert_eq!(said, expected);
    let stored = stored(&database).await;
    assert!(
        stored
            .iter()
            .all(|row| row.lane == lane.id && row.batch == committed.batch)
    );
    let found: Vec<Tick> = stored.into_iter().map(|stored| stored.tick).collect();
    assert_eq!(found, expected);

    // The same through the questions that mending asks.
    let touched = database.touched(lane.id, 0).await.unwrap();
    let traded = database.traded(lane.id, 0).await.unwrap();
    assert_eq!(touched.len(), traded.len());
    let mut of_pairs = Vec::new();
    for (pair, first) in touched {
        let ticks = TickQuery {
            lane: Some(lane.id),
            pairs: &[pair],
            from: first,
        };
        let each = |stored: StoredTick| of_pairs.push(stored.tick);
        database.ticks(&ticks, each).await.unwrap();
    }
    of_pairs.sort_by_key(order);
    assert_eq!(of_pairs, expected);
    assert!(
        database
            .touched(lane.id, committed.batch)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(database.touched(lane.id + 1, 0).await.unwrap().is_empty());
    let newest = database.newest().await.unwrap().unwrap();
    assert!(expected.iter().any(|tick| tick.time == newest));
}

async fn only_the_last_to_claim_a_lane_may_write_it(settings: config::Database) {
    let database = open(&settings).await;
    let other = open(&settings).await;
    let records = records(Plan::default(), 40);
    let mut old = database.claim("group", "topic", 0).await.unwrap();
    database
        .commit(&mut old, &batch(&records[..10]))
        .await
        .unwrap();
    let mut new = other.claim("group", "topic", 0).await.unwrap();
    assert_eq!(new.next_offset, old.next_offset);
    let before = stored(&database).await;

    let fenced = database.commit(&mut old, &batch(&records[10..20])).await;
    assert!(matches!(fenced, Err(DatabaseError::Fenced)), "{fenced:?}");
    let settled = database.settle(&mut old).await;
    assert!(matches!(settled, Err(DatabaseError::Fenced)), "{settled:?}");
    assert_eq!(stored(&database).await, before);
    other
        .commit(&mut new, &batch(&records[10..20]))
        .await
        .unwrap();

    // A twin that knows the right epoch, but not the last batch.
    let mut twin = new.clone();
    other
        .commit(&mut new, &batch(&records[20..30]))
        .await
        .unwrap();
    let late = other.commit(&mut twin, &batch(&records[30..])).await;
    assert!(matches!(late, Err(DatabaseError::Fenced)), "{late:?}");
}

async fn a_commit_whose_end_was_not_seen_is_found_out_about(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let before = lane.clone();
    let batch = batch(&records(Plan::default(), 5));
    assert_eq!(
        database.settle(&mut lane).await.unwrap(),
        CommitOutcome::Lost
    );
    assert_eq!(lane, before);
    database.commit(&mut lane, &batch).await.unwrap();
    let mut unseen = before;
    assert_eq!(
        database.settle(&mut unseen).await.unwrap(),
        CommitOutcome::Written
    );
    assert_eq!(unseen, lane);
}

async fn what_a_batch_came_to_is_read_back(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let records = records(Plan::default(), 40);
    let first = batch(&records[..25]);
    database.commit(&mut lane, &first).await.unwrap();
    // Some of it is known already.
    let mut second = batch(&records[15..]);
    second.dead_letters = vec![unusable(record(1, b"one"))];
    let committed = database.commit(&mut lane, &second).await.unwrap();
    assert!(committed.known > 0 && !committed.ticks.is_empty());
    let previous = committed.previous;
    let found = database.read_back(&lane, previous, &second).await;
    assert_eq!(found.unwrap(), committed);
}

async fn a_lane_goes_on_where_it_was_left(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 3).await.unwrap();
    assert_eq!((lane.next_offset, lane.batch), (None, 0));
    let batch = RowBatch {
        next_offset: Some(17),
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch).await.unwrap();
    database.claim("group", "topic", 4).await.unwrap();
    database.claim("other", "topic", 3).await.unwrap();
    drop(database);

    let database = open(&settings).await;
    let lanes = database.lanes("group").await.unwrap();
    let offsets: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.partition, lane.next_offset))
        .collect();
    assert_eq!(offsets, [(3, Some(17)), (4, None)]);
    let reset = database.reset("group", "topic", 3, 5).await.unwrap();
    assert_eq!((reset.next_offset, reset.id), (Some(5), lane.id));
    let fenced = database.commit(&mut lane, &batch).await;
    assert!(matches!(fenced, Err(DatabaseError::Fenced)), "{fenced:?}");
    database.ping().await.unwrap();
}

/// What `ingest_gaps` has: where each begins and ends.
async fn gaps(settings: &config::Database) -> Vec<(i64, i64)> {
    let asked = "SELECT from_offset, to_offset FROM ingest_gaps ORDER BY from_offset";
    let url = settings.url.expose().to_string();
    if settings.is_sqlite() {
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        sqlx::query_as(asked).fetch_all(&pool).await.unwrap()
    } else {
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        sqlx::query_as(asked).fetch_all(&pool).await.unwrap()
    }
}

async fn a_gap_is_stored_with_the_offset_behind_it_or_not_at_all(settings: config::Database) {
    let database = open(&settings).await;
    let mut old = database.claim("group", "topic", 0).await.unwrap();
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let batch = |gap: std::ops::Range<i64>| RowBatch {
        next_offset: Some(gap.end),
        gap: Some(gap),
        ..RowBatch::default()
    };
    let fenced = database.commit(&mut old, &batch(5..9)).await;
    assert!(matches!(fenced, Err(DatabaseError::Fenced)), "{fenced:?}");
    assert_eq!(gaps(&settings).await, []);
    // Again and further from the same offset, and one of a topic that was recreated.
    for (from, to, known) in [
        (5, 9, vec![(5, 9)]),
        (5, 9, vec![(5, 9)]),
        (5, 12, vec![(5, 12)]),
        (90, 10, vec![(5, 12), (90, 10)]),
    ] {
        database.commit(&mut lane, &batch(from..to)).await.unwrap();
        assert_eq!(gaps(&settings).await, known);
        assert_eq!(lane.next_offset, Some(to));
    }
}

fn origin(name: u8) -> Origin {
    Origin {
        slot: Slot(900_000_000_000),
        index: u32::MAX,
        signature: perijove_core::Signature([name; 64]),
        block_time: None,
        recorded: UnixMillis(1_760_000_000_123),
    }
}

async fn transfers_transactions_and_slots_are_stored_once(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let key = |byte| Some(Pubkey([byte; 32]));
    let transfer = Transfer {
        origin: origin(1),
        instruction: 1,
        ordinal: 0,
        mint: USDC,
        symbol: "US\0DC".to_owned(),
        amount: Amount {
            raw: u64::MAX,
            decimals: None,
        },
        received: Some(u64::MAX - 1),
        sender: Party::default(),
        receiver: Party {
            account: key(3),
            owner: key(4),
        },
        authority: None,
        usd: Some(0.1),
        extensions: Extensions {
            token_2022: true,
            multiplier: Some(1.5),
        },
    };
    let row = TransactionRow {
        origin: origin(2),
        success: false,
        error: "custom program error: 0x1".to_owned(),
        fee: u64::MAX,
        fee_usd: None,
        fee_payer: key(5),
        signer: None,
        instructions: 3,
        programs: vec![Pubkey([6; 32]), Pubkey([7; 32])],
        jupiter: false,
    };
    let slot = |height, hash: &'static [u8]| SlotUpdate {
        slot: Slot(5),
        parent: None,
        height,
        hash: bytes::Bytes::from_static(hash),
        block_time: None,
        recorded: UnixMillis(1_760_000_000_000),
    };
    let batch = RowBatch {
        next_offset: Some(1),
        transfers: vec![transfer.clone(), transfer],
        transactions: vec![row.clone(), row],
        slots: vec![slot(None, b""), slot(Some(4), b"")],
        ..RowBatch::default()
    };
    let first = database.commit(&mut lane, &batch).await.unwrap();
    assert_eq!((first.new, first.known), (3, 3));
    let later = RowBatch {
        slots: vec![slot(None, &[1; 32])],
        ..batch.clone()
    };
    let again = database.commit(&mut lane, &later).await.unwrap();
    assert_eq!((again.new, again.known), (0, 5));
}

fn record(offset: i64, payload: &'static [u8]) -> Record {
    Record {
        place: Place {
            topic: "topic".into(),
            partition: 2,
            offset,
        },
        timestamp: (offset > 1).then_some(UnixMillis(1_760_000_000_001)),
        key: None,
        payload: Some(bytes::Bytes::from_static(payload)),
    }
}

async fn dead_letters_are_kept_until_they_can_be_used(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 2).await.unwrap();
    let poisoned = |place| Poisoned {
        transaction: place,
        fault: ProjectError::Missing("signature"),
    };
    let letter =
        |record: &Record, place| DeadLetter::of_transaction(record.clone(), &poisoned(place));
    let (one, other) = (record(1, b"one\0"), record(2, b"other"));
    let batch = RowBatch {
        next_offset: Some(3),
        dead_letters: vec![letter(&one, 4), letter(&one, 6), letter(&other, 0)],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch).await.unwrap();
    database.commit(&mut lane, &batch).await.unwrap();
    let all = DeadLetterFilter {
        most: 10,
        ..DeadLetterFilter::default()
    };
    let letters = database.dead_letters(&all).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].record, one);
    assert_eq!(letters[1].record, other);
    assert_eq!(letters[0].class, "missing");
    assert_eq!(
        letters[0].error,
        "transaction 4: signature is missing; transaction 6: signature is missing"
    );
    assert_eq!(letters[0].replayed, None);
    let summaries = database.dead_letter_summaries(&all).await.unwrap();
    let first = &summaries[0];
    assert_eq!(summaries.len(), 2);
    assert_eq!((first.id, first.bytes), (letters[0].id, 4));
    assert_eq!(
        (&first.place, &first.error),
        (&one.place, &letters[0].error)
    );
    assert!(!first.replayed && first.class == "missing");

    let batch = RowBatch {
        replayed: vec![letters[0].id],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch).await.unwrap();
    let ids = |filter: DeadLetterFilter| {
        let database = database.clone();
        async move {
            let letters = database.dead_letters(&filter).await.unwrap();
            letters.iter().map(|letter| letter.id).collect::<Vec<_>>()
        }
    };
    let (first, second) = (letters[0].id, letters[1].id);
    for (filter, expected) in [
        (all.clone(), vec![second]),
        (
            DeadLetterFilter {
                replayed: true,
                ..all.clone()
            },
            vec![first, second],
        ),
        (
            DeadLetterFilter {
                replayed: true,
                most: 1,
                ..all.clone()
            },
            vec![first],
        ),
        (
            DeadLetterFilter {
                replayed: true,
                after: first,
                ..all.clone()
            },
            vec![second],
        ),
        (
            DeadLetterFilter {
                id: Some(second),
                ..all.clone()
            },
            vec![second],
        ),
        (
            DeadLetterFilter {
                class: Some("json".to_owned()),
                ..all.clone()
            },
            vec![],
        ),
    ] {
        assert_eq!(ids(filter.clone()).await, expected, "{filter:?}");
    }
}

/// A letter about a whole record.
fn unusable(record: Record) -> DeadLetter {
    let fault = ProjectError::Missing("signature");
    DeadLetter::of_transaction(
        record,
        &Poisoned {
            transaction: 0,
            fault,
        },
    )
}

async fn every_record_at_a_place_is_a_letter_of_its_own(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 2).await.unwrap();
    let all = DeadLetterFilter {
        replayed: true,
        most: 10,
        ..DeadLetterFilter::default()
    };
    let old = record(7, b"before the topic was recreated");
    let batch = |record: &Record| RowBatch {
        dead_letters: vec![unusable(record.clone())],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch(&old)).await.unwrap();
    let id = database.dead_letters(&all).await.unwrap()[0].id;
    let replayed = RowBatch {
        replayed: vec![id],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &replayed).await.unwrap();

    let new = record(7, b"afterwards");
    let later = Record {
        timestamp: Some(UnixMillis(1_760_000_000_002)),
        ..new.clone()
    };
    let keyed = Record {
        key: Some(bytes::Bytes::from_static(b"key")),
        ..new.clone()
    };
    for record in [&new, &later, &keyed] {
        let committed = database.commit(&mut lane, &batch(record)).await.unwrap();
        assert_eq!(committed.dead_letters, ["missing"], "{record:?}");
        let again = database.commit(&mut lane, &batch(record)).await.unwrap();
        assert!(again.dead_letters.is_empty(), "{record:?}");
    }
    let letters = database.dead_letters(&all).await.unwrap();
    let records: Vec<&Record> = letters.iter().map(|letter| &letter.record).collect();
    assert_eq!(records, [&old, &new, &later, &keyed]);
    let replayed: Vec<bool> = letters.iter().map(|one| one.replayed.is_some()).collect();
    assert_eq!(replayed, [true, false, false, false]);
}

async fn letters_of_an_earlier_version_are_recognized(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 2).await.unwrap();
    let known = record(7, b"known");
    let batch = |record: &Record| RowBatch {
        dead_letters: vec![unusable(record.clone())],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch(&known)).await.unwrap();
    let url = settings.url.expose().to_string();
    if settings.is_sqlite() {
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        let earlier = sqlx::query("UPDATE dead_letters SET fingerprint = X''");
        earlier.execute(&pool).await.unwrap();
    } else {
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        let earlier = sqlx::query("UPDATE dead_letters SET fingerprint = ''");
        earlier.execute(&pool).await.unwrap();
    }
    for (record, new) in [(record(7, b"other"), 1), (known, 0)] {
        let committed = database.commit(&mut lane, &batch(&record)).await.unwrap();
        assert_eq!(committed.dead_letters.len(), new, "{record:?}");
    }
}

async fn trades_of_any_size_and_text_are_stored(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let mut batch = batch(&records(Plan::default(), 5));
    batch.trades.truncate(2);
    for (trade, raw) in batch.trades.iter_mut().zip([u64::MAX, 1]) {
        trade.origin.index = u32::MAX;
        trade.instruction = u32::MAX;
        for side in [&mut trade.bought, &mut trade.sold] {
            side.amount.raw = raw;
            side.symbol = "\0 '\"\\ ä ".repeat(100);
            side.usd = Some(f32::MIN_POSITIVE);
            side.unit_usd = Some(f32::MAX);
        }
        "\0".clone_into(&mut trade.dex.protocol);
        trade.price = perijove_core::market::Price::from_parts(u64::MAX, -300);
    }
    let committed = database.commit(&mut lane, &batch).await.unwrap();
    assert_eq!(committed.new, 2);
    let expected: Vec<Tick> = batch.trades.iter().filter_map(Tick::of).collect();
    let mut found: Vec<Tick> = stored(&database).await.iter().map(|row| row.tick).collect();
    found.sort_by_key(|tick| std::cmp::Reverse(tick.base.raw));
    assert_eq!(found.len(), expected.len());
    for tick in found {
        assert!(expected.contains(&tick), "{tick:?}");
    }
}

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

async fn a_batch_that_is_refused_leaves_nothing_behind(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let good = batch(&records(Plan::default(), 10));
    let mut bad = good.clone();
    // No database can place it in its calendar, or has so many milliseconds.
    bad.trades[3].origin.block_time = Some(UnixMillis(i64::MAX));
    let refused = database.commit(&mut lane, &bad).await;
    if database_refuses(&settings) {
        assert!(
            matches!(refused, Err(DatabaseError::Refused(_))),
            "{refused:?}"
        );
        assert_eq!(
            database.settle(&mut lane).await.unwrap(),
            CommitOutcome::Lost
        );
        assert_eq!(stored(&database).await, []);
    }
    database.commit(&mut lane, &good).await.unwrap();
}

#[tokio::test]
async fn sqlite_goes_on_after_it_has_taken_a_transaction_back_by_itself() {
    crate::scene::on_sqlite(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let url = settings.url.expose().to_string();
        let other = sqlx::SqlitePool::connect(&url).await.unwrap();
        // What happens when the disk is full, without filling one.
        sqlx::query(
            "CREATE TRIGGER full BEFORE INSERT ON dex_trades
             BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END",
        )
        .execute(&other)
        .await
        .unwrap();
        let batch = batch(&records(Plan::default(), 10));
        for _ in 0..3 {
            let error = database.commit(&mut lane, &batch).await.unwrap_err();
            assert!(error.to_string().contains("the disk is full"), "{error}");
        }
        let there_is_space = sqlx::query("DROP TRIGGER full").execute(&other).await;
        there_is_space.unwrap();
        let committed = database.commit(&mut lane, &batch).await.unwrap();
        assert!(committed.new > 0);
    })
    .await;
}

/// Milliseconds.
const DAY: i64 = 86_400_000;

/// Trades of one day, counted from 1970; no two days share a partition.
fn of_day(days: i64) -> RowBatch {
    let plan = Plan {
        seed: days.unsigned_abs(),
        first_slot: Slot(1_000_000 * days.unsigned_abs()),
        start: UnixMillis(days * DAY),
        ..Plan::default()
    };
    batch(&records(plan, 20))
}

#[tokio::test]
async fn a_partition_that_another_process_has_dropped_is_made_again() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let (replay, run) = (open(&settings).await, open(&settings).await);
        let mut lane = replay.claim("replay", "topic", 0).await.unwrap();
        let first = replay.commit(&mut lane, &of_day(1)).await.unwrap();
        assert!(run.forget(UnixMillis(3 * DAY)).await.unwrap() > 0);
        // The same rows, of which none are left.
        let again = replay.commit(&mut lane, &of_day(1)).await.unwrap();
        assert_eq!((again.new, again.previous), (first.new, first.batch));
        assert_eq!(stored(&run).await.len(), again.ticks.len());
    })
    .await;
}

#[tokio::test]
async fn a_row_that_a_check_or_a_trigger_refuses_is_refused() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let url = settings.url.expose().to_string();
        let other = sqlx::PgPool::connect(&url).await.unwrap();
        let run = async |statement: &'static str| {
            sqlx::raw_sql(statement).execute(&other).await.unwrap();
        };
        for (make, unmake) in [
            (
                "ALTER TABLE dex_trades ADD CONSTRAINT nothing CHECK (slot < 0)",
                "ALTER TABLE dex_trades DROP CONSTRAINT nothing",
            ),
            (
                "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
                 CREATE TRIGGER nothing BEFORE INSERT ON dex_trades
                 FOR EACH ROW EXECUTE FUNCTION nothing()",
                "DROP FUNCTION nothing() CASCADE",
            ),
            (
                "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE check_violation; END $$;
                 CREATE TRIGGER nothing BEFORE INSERT ON dex_trades
                 FOR EACH ROW EXECUTE FUNCTION nothing()",
                "DROP FUNCTION nothing() CASCADE",
            ),
        ] {
            run(make).await;
            let refused = database.commit(&mut lane, &of_day(1)).await;
            assert!(
                matches!(refused, Err(DatabaseError::Refused(_))),
                "{make}: {refused:?}"
            );
            run(unmake).await;
        }
        assert!(database.commit(&mut lane, &of_day(1)).await.unwrap().new > 0);
    })
    .await;
}

#[tokio::test]
async fn connections_of_a_time_when_the_server_was_read_only_are_given_up() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let url = settings.url.expose().to_string();
        let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
        read_only(&mut other, "SET default_transaction_read_only = on").await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&mut other)
        .await
        .unwrap();
        let mut refused = database.commit(&mut lane, &of_day(1)).await;
        for _ in 0..10 {
            if matches!(&refused, Err(error) if error.to_string().contains("25006")) {
                break;
            }
            refused = database.commit(&mut lane, &of_day(1)).await;
        }
        let refused = refused.unwrap_err();
        let answer = refused.answer().unwrap();
        assert!(
            answer.contains("read-only") && answer.contains("25006"),
            "{answer}"
        );
        read_only(&mut other, "RESET default_transaction_read_only").await;
        assert!(database.commit(&mut lane, &of_day(1)).await.unwrap().new > 0);
    })
    .await;
}

/// Changes a setting of the database.
async fn read_only(connection: &mut sqlx::PgConnection, to: &str) {
    let statement =
        format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {to}', current_database()); END $$");
    let run = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
    run.execute(connection).await.unwrap();
}

#[tokio::test]
async fn who_reads_the_whole_database_for_long_holds_up_neither_new_slots_nor_retention() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        database.commit(&mut lane, &of_day(1)).await.unwrap();
        let url = settings.url.expose().to_string();
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        // As pg_dump does, until its end.
        let mut dump = pool.begin().await.unwrap();
        sqlx::query("LOCK TABLE dex_trades, transfers, transactions, slots IN ACCESS SHARE MODE")
            .execute(&mut *dump)
            .await
            .unwrap();
        let new = database.commit(&mut lane, &of_day(5)).await.unwrap();
        assert!(new.new > 0);
        let before = UnixMillis(3 * DAY);
        assert_eq!(database.forget(before).await.unwrap(), 0);
        database.commit(&mut lane, &of_day(6)).await.unwrap();
        dump.rollback().await.unwrap();
        assert_eq!(database.forget(before).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn partitions_have_the_columns_and_indexes_of_their_table() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        database.commit(&mut lane, &of_day(1)).await.unwrap();
        let url = settings.url.expose().to_string();
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        let without: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_index x JOIN pg_inherits p ON p.inhparent = x.indrelid
             WHERE NOT EXISTS (
                 SELECT FROM pg_inherits h JOIN pg_index y ON y.indexrelid = h.inhrelid
                 WHERE h.inhparent = x.indexrelid AND y.indrelid = p.inhrelid AND y.indisvalid)",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(without, 0);
    })
    .await;
}

/// SQLite has no calendar.
fn database_refuses(settings: &config::Database) -> bool {
    settings.url.scheme() == "postgres"
}
