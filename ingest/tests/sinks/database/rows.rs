//! Rows of all kinds: each once, and as it was.

use std::collections::HashMap;

use perijove_core::{Pubkey, Slot};
use perijove_ingest::config;
use perijove_ingest::generator::Plan;
use perijove_ingest::project::{
    Amount, Extensions, Origin, Party, SlotUpdate, TransactionRow, Transfer, USDC,
};
use perijove_ingest::record::UnixMillis;
use perijove_ingest::sink::database::{RowBatch, StoredTick, TickQuery};
use perijove_ingest::sink::tick::Tick;

use crate::scene::{batch, on_both, open, record, records, stored, unusable};

on_both!(
    trades_are_stored_once_however_often_they_come,
    what_is_stored_comes_back_as_it_was,
    what_a_batch_came_to_is_read_back,
    transfers_transactions_and_slots_are_stored_once,
    trades_of_any_size_and_text_are_stored,
);

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
