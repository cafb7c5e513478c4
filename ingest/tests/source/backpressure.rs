//! What happens while the sinks do not keep up.

use std::time::Duration;

use perijove_ingest::config::Buffer;

use crate::member::{Member, TOPIC, eventually};
use crate::mock::{Mock, assert_once};
use crate::store::Store;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn fetching_pauses_at_the_limit_of_bytes_and_goes_on_without_loss() {
    let mock = Mock::start(2);
    for at in 0..2 {
        mock.produce_large(at, 40, 100_000).await;
    }
    let store = Store::default();
    let buffer = Buffer {
        bytes: 2 * MIB,
        ..Buffer::default()
    };
    let grace = Duration::from_secs(5);
    let member = Member::join_with(&mock.settings(), &store, &buffer, grace);
    member.store(false);
    eventually("both partitions to be paused", || {
        member.metric("kafka_paused_partitions", &[]) == Some(2.0)
    })
    .await;
    // One batch of each partition may have been on its way when the limit was reached.
    let most = buffer.bytes + 2 * (MIB + 200_000);
    let taken = member.budget.bytes();
    assert!((buffer.bytes..most).contains(&taken), "{taken}");
    assert_eq!(
        member.metric("kafka_buffered_bytes", &[]),
        Some(f64::from(u32::try_from(taken).unwrap()))
    );
    member.store(true);
    eventually("all to be stored", || store.len() == 80).await;
    let rows = store.rows();
    let places: std::collections::BTreeSet<_> = rows
        .iter()
        .map(|row| (&row.partition, row.offset))
        .collect();
    assert_eq!(places.len(), 80);
    member.stop().await.unwrap();
}

#[tokio::test]
async fn one_partition_that_is_full_does_not_stop_the_other() {
    let mock = Mock::start(2);
    let store = Store::default();
    let buffer = Buffer {
        messages: 20,
        ..Buffer::default()
    };
    let grace = Duration::from_secs(5);
    let member = Member::join_with(&mock.settings(), &store, &buffer, grace);
    eventually("it to have both", || {
        member.control.status().partitions() == 2
    })
    .await;
    member.store(false);
    mock.produce(0, 0..50).await;
    eventually("the partition to be paused", || {
        member.metric("kafka_paused_partitions", &[]) == Some(1.0)
    })
    .await;
    let before = member.budget.bytes();
    mock.produce(1, 0..5).await;
    eventually("records of the other", || member.budget.bytes() > before).await;
    member.store(true);
    mock.produce(1, 5..50).await;
    eventually("all to be stored", || store.len() == 100).await;
    assert_once(&store, 2, 0..50);
    member.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_fetched_while_it_is_held() {
    let mock = Mock::start(1);
    let store = Store::default();
    let member = Member::join(&mock.settings(), &store);
    mock.produce(0, 0..5).await;
    eventually("the first records", || store.len() == 5).await;
    member.control.hold(true);
    eventually("it to pause", || {
        member.metric("kafka_paused_partitions", &[]) == Some(1.0)
    })
    .await;
    mock.produce(0, 5..10).await;
    let lag = [("topic", TOPIC), ("partition", "0")];
    let rebalances = member.metric("kafka_rebalances_total", &[("kind", "assign")]);
    member.control.hold(false);
    eventually("the others", || store.len() == 10).await;
    eventually("no lag", || {
        member.metric("kafka_consumer_lag", &lag) == Some(0.0)
    })
    .await;
    let after = member.metric("kafka_rebalances_total", &[("kind", "assign")]);
    assert_eq!(after, rebalances);
    member.stop().await.unwrap();
}
