//! Several members of one group.

use std::time::Duration;

use perijove_ingest::config::{Assignment, Buffer, Kafka};

use crate::member::{Member, eventually};
use crate::mock::{Mock, assert_once, partition};
use crate::store::Store;

const PARTITIONS: i32 = 4;

async fn join_and_leave(assignment: Assignment) {
    let mock = Mock::start(PARTITIONS);
    let store = Store::default();
    let settings = Kafka {
        assignment,
        ..mock.settings()
    };
    let produce = async |numbers: std::ops::Range<i64>| {
        for at in 0..PARTITIONS {
            mock.produce(at, numbers.clone()).await;
        }
    };
    let shares = |first: &Member, second: &Member| {
        let share = |member: &Member| member.control.status().partitions();
        (share(first), share(second))
    };
    produce(0..50).await;
    let first = Member::join(&settings, &store);
    eventually("the first to have all", || {
        first.control.status().partitions() == 4
    })
    .await;
    let second = Member::join(&settings, &store);
    produce(50..100).await;
    eventually("each to have half", || shares(&first, &second) == (2, 2)).await;
    produce(100..150).await;
    eventually("all to be stored", || store.len() == 600).await;
    assert!(
        first.metric("kafka_rebalances_total", &[("kind", "revoke")]) >= Some(1.0),
        "{:?}",
        first.heard
    );
    first.stop().await.unwrap();
    produce(150..200).await;
    eventually("the second to have all", || store.len() == 800).await;
    second.stop().await.unwrap();
    assert_once(&store, PARTITIONS, 0..200);
    for at in 0..PARTITIONS {
        assert!(store.offsets(&partition(at)).is_sorted(), "{at}");
    }
}

#[tokio::test]
async fn members_that_join_and_leave_read_each_record_once_cooperative_sticky() {
    join_and_leave(Assignment::CooperativeSticky).await;
}

#[tokio::test]
async fn members_that_join_and_leave_read_each_record_once_round_robin() {
    join_and_leave(Assignment::RoundRobin).await;
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
    eventually("records under way", || first.room.bytes() > 0).await;
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
    eventually("records under way", || first.room.bytes() > 0).await;
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
    eventually("records under way", || first.room.bytes() > 0).await;
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
