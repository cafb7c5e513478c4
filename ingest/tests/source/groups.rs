//! Several members of one group.

use std::ops::Range;
use std::time::Duration;

use perijove_ingest::config::{Assignment, Buffer, Kafka};

use crate::member::{Member, eventually};
use crate::mock::{Mock, assert_once, partition};
use crate::store::Store;

pub const PARTITIONS: i32 = 4;

/// Two members come and go while records come. `first` is the next record of each partition.
pub async fn join_and_leave(
    settings: &Kafka,
    store: &Store,
    first: i64,
    produce: impl AsyncFn(Range<i64>),
) {
    let produce = async |numbers: Range<i64>| {
        produce(first + numbers.start..first + numbers.end).await;
    };
    let share = |member: &Member| member.control.status().partitions();
    produce(0..50).await;
    let one = Member::join(settings, store);
    eventually("the first to have all", || share(&one) == 4).await;
    let other = Member::join(settings, store);
    produce(50..100).await;
    eventually("each to have half", || {
        (share(&one), share(&other)) == (2, 2)
    })
    .await;
    produce(100..150).await;
    eventually("all to be stored", || store.len() == 600).await;
    let revoked = one.metric("kafka_rebalances_total", &[("kind", "revoke")]);
    assert!(revoked >= Some(1.0), "{:?}", one.heard);
    one.stop().await.unwrap();
    produce(150..200).await;
    eventually("the second to have all", || store.len() == 800).await;
    other.stop().await.unwrap();
    assert_once(store, PARTITIONS, first..first + 200);
    for at in 0..PARTITIONS {
        assert!(store.offsets(&partition(at)).is_sorted(), "{at}");
    }
}

async fn with_the_mock(assignment: Assignment) {
    let mock = Mock::start(PARTITIONS);
    let settings = Kafka {
        assignment,
        ..mock.settings()
    };
    join_and_leave(&settings, &Store::default(), 0, async |numbers| {
        for at in 0..PARTITIONS {
            mock.produce(at, numbers.clone()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn members_that_join_and_leave_read_each_record_once_cooperative_sticky() {
    with_the_mock(Assignment::CooperativeSticky).await;
}

#[tokio::test]
async fn members_that_join_and_leave_read_each_record_once_round_robin() {
    with_the_mock(Assignment::RoundRobin).await;
}

#[tokio::test]
async fn a_member_that_ends_at_once_leaves_its_unsettled_records_to_the_next() {
    let mock = Mock::start(1);
    let store = Store::default();
    mock.produce(0, 0..20).await;
    let first = Member::join(&mock.settings(), &store);
    eventually("the first records", || store.len() == 20).await;
    first.store(false);
    mock.produce(0, 20..40).await;
    eventually("records under way", || first.budget.bytes() > 0).await;
    first.abort().await;
    let second = Member::join(&mock.settings(), &store);
    eventually("all to be stored", || store.len() == 40).await;
    second.stop().await.unwrap();
    assert_once(&store, 1, 0..40);
}

#[tokio::test]
async fn a_revoked_partition_is_given_on_when_it_is_settled_and_not_before() {
    let mock = Mock::start(2);
    let store = Store::default();
    let grace = Duration::from_mins(1);
    let buffer = Buffer::default();
    let first = Member::join_with(&mock.settings(), &store, &buffer, grace);
    eventually("the first to have both", || {
        first.control.status().partitions() == 2
    })
    .await;
    first.store(false);
    for at in 0..2 {
        mock.produce(at, 0..10).await;
    }
    eventually("records under way", || first.budget.bytes() > 0).await;
    let second = Member::join(&mock.settings(), &store);
    eventually("a partition to leave", || {
        first.control.status().partitions() == 1
    })
    .await;
    assert_eq!(second.control.status().partitions(), 0);
    first.store(true);
    eventually("the second to have it", || {
        second.control.status().partitions() == 1
    })
    .await;
    eventually("all to be stored", || store.len() == 20).await;
    assert_once(&store, 2, 0..10);
    let fenced = |member: &Member| member.heard.lock().iter().any(|one| one.contains("fenced"));
    assert!(!fenced(&first) && !fenced(&second));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_partition_that_is_not_settled_in_time_is_given_on_and_its_old_owner_fenced() {
    let mock = Mock::start(1);
    let store = Store::default();
    let (buffer, grace) = (Buffer::default(), Duration::from_millis(100));
    let first = Member::join_with(&mock.settings(), &store, &buffer, grace);
    eventually("the first to have it", || {
        first.control.status().partitions() == 1
    })
    .await;
    first.store(false);
    mock.produce(0, 0..10).await;
    eventually("records under way", || first.budget.bytes() > 0).await;
    first.control.stop();
    let second = Member::join(&mock.settings(), &store);
    eventually("all to be stored", || store.len() == 10).await;
    first.store(true);
    let heard = std::sync::Arc::clone(&first.heard);
    first.ended().await.unwrap();
    assert!(
        heard
            .lock()
            .contains(&"fenced solana.dextrades.proto[0]".to_owned()),
        "{heard:?}"
    );
    second.stop().await.unwrap();
    assert_once(&store, 1, 0..10);
}
