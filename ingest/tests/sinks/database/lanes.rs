//! Lanes: who may write one, where it goes on, and what is missing in it.

use perijove_ingest::config;
use perijove_ingest::generator::Plan;
use perijove_ingest::position::{RecordMark, StoredPosition};
use perijove_ingest::sink::database::{CommitOutcome, DatabaseError, Lane, RowBatch};

use crate::scene::{batch, on_both, open, records, stored};

on_both!(
    only_the_last_to_claim_a_lane_may_write_it,
    a_commit_whose_end_was_not_seen_is_found_out_about,
    the_last_record_is_kept_with_the_offset_behind_it,
    a_lane_goes_on_where_it_was_left,
    a_gap_is_stored_with_the_offset_behind_it_or_not_at_all,
);

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

async fn the_last_record_is_kept_with_the_offset_behind_it(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 3).await.unwrap();
    assert_eq!(lane.position(), None);
    let last = RecordMark {
        offset: 16,
        checksum: u32::MAX,
    };
    let batch = |next_offset, last| RowBatch {
        next_offset,
        last,
        ..RowBatch::default()
    };
    let kept = Some(StoredPosition::new(17, Some(last)));
    database
        .commit(&mut lane, &batch(Some(17), Some(last)))
        .await
        .unwrap();
    assert_eq!(lane.position(), kept);
    database
        .commit(&mut lane, &batch(None, None))
        .await
        .unwrap();
    assert_eq!(lane.position(), kept);
    let mut lane = database.claim("group", "topic", 3).await.unwrap();
    assert_eq!(lane.position(), kept);
    database.settle(&mut lane).await.unwrap();
    assert_eq!(lane.position(), kept);
    database.reset("group", "topic", 3, 17).await.unwrap();
    let lanes = database.lanes("group").await.unwrap();
    let positions: Vec<_> = lanes.iter().map(Lane::position).collect();
    assert_eq!(positions, [Some(StoredPosition::new(17, None))]);
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
