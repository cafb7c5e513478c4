//! Where partitions are begun, and that nothing is read twice or not at all.

use std::time::Duration;

use perijove_ingest::config::{Broker, Kafka, Reset, Start};
use perijove_ingest::source::SourceErrorKind;
use perijove_tests::ports;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::member::{Member, TOPIC, eventually, settings};
use crate::mock::{Mock, assert_once, partition};
use crate::store::Store;

#[tokio::test]
async fn records_are_read_in_order_and_a_restart_goes_on_where_it_stopped() {
    let mock = Mock::start(2);
    let store = Store::default();
    for part in [0..50, 50..60] {
        for at in 0..2 {
            mock.produce(at, part.clone()).await;
        }
        let member = Member::join(&mock.settings(), &store);
        let all = usize::try_from(2 * part.end).unwrap();
        eventually("all to be stored", || store.len() >= all).await;
        assert!(member.control.status().is_connected());
        member.stop().await.unwrap();
        for at in 0..2 {
            assert!(store.offsets(&partition(at)).is_sorted());
        }
    }
    assert_once(&store, 2, 0..60);
}

/// What the group has told Kafka of the first partition.
pub fn committed(settings: &Kafka) -> Offset {
    let servers: Vec<String> = settings.brokers.iter().map(Broker::to_string).collect();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers.join(","))
        .set("group.id", &settings.group.id);
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(TOPIC, 0);
    let list = consumer
        .committed_offsets(list, Duration::from_secs(10))
        .unwrap();
    list.elements()[0].offset()
}

#[tokio::test]
async fn what_is_stored_is_told_to_kafka_before_leaving() {
    let mock = Mock::start(1);
    mock.produce(0, 0..30).await;
    let (store, settings) = (Store::default(), mock.settings());
    let settings = Kafka {
        // Only leaving does it.
        commit_interval: Duration::from_hours(1),
        ..settings
    };
    let member = Member::join(&settings, &store);
    eventually("all to be stored", || store.len() == 30).await;
    member.stop().await.unwrap();
    assert_eq!(committed(&settings), Offset::Offset(30));
}

#[tokio::test]
async fn of_a_partition_of_which_nothing_comes_kafka_is_told_where_it_was_begun() {
    let mock = Mock::start(1);
    mock.produce(0, 0..5).await;
    let settings = Kafka {
        start: Start::Latest,
        ..mock.settings()
    };
    let member = Member::join(&settings, &Store::default());
    eventually("reading to begin", || {
        member.has_heard("begun solana.dextrades.proto[0] 5")
    })
    .await;
    member.stop().await.unwrap();
    assert_eq!(committed(&settings), Offset::Offset(5));
}

#[tokio::test]
async fn a_partition_never_read_is_begun_where_the_settings_say() {
    for (start, heard) in [
        (Start::Earliest, "begun solana.dextrades.proto[0] 0"),
        (Start::Latest, "begun solana.dextrades.proto[0] 5"),
    ] {
        let mock = Mock::start(1);
        mock.produce(0, 0..5).await;
        let store = Store::default();
        let settings = Kafka {
            start,
            ..mock.settings()
        };
        let member = Member::join(&settings, &store);
        eventually("reading to begin", || member.has_heard(heard)).await;
        mock.produce(0, 5..6).await;
        eventually("the new record", || store.next(&partition(0)) == Some(6)).await;
        member.stop().await.unwrap();
        let first = if start == Start::Latest { 5 } else { 0 };
        assert_once_from(&store, first);
        assert_eq!(store.gaps(), []);
    }
}

fn assert_once_from(store: &Store, first: i64) {
    let expected: Vec<i64> = (first..6).collect();
    assert_eq!(store.offsets(&partition(0)), expected);
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_read_from_its_beginning_and_the_gap_is_noted() {
    let mock = Mock::start(1);
    mock.produce(0, 0..5).await;
    let store = Store::default();
    store.reset(&partition(0), 1000);
    let settings = Kafka {
        out_of_range: Reset::Earliest,
        ..mock.settings()
    };
    let member = Member::join(&settings, &store);
    eventually("all to be stored", || store.len() == 5).await;
    let counted = member.metric("kafka_gaps_total", &[("topic", TOPIC)]);
    assert_eq!(counted, Some(1.0));
    member.stop().await.unwrap();
    assert_once(&store, 1, 0..5);
    let gaps = store.gaps();
    assert_eq!((gaps.len(), gaps[0].1.start, gaps[0].1.end), (1, 1000, 0));
}

#[tokio::test]
async fn an_offset_that_is_reset_while_it_runs_is_obeyed() {
    let mock = Mock::start(1);
    mock.produce(0, 0..10).await;
    let store = Store::default();
    let member = Member::join(&mock.settings(), &store);
    eventually("all to be stored", || store.len() == 10).await;
    store.reset(&partition(0), 7);
    // Found out with the next batch, which is not stored then, and read again.
    mock.produce(0, 10..11).await;
    eventually("it to read again", || {
        store.offsets(&partition(0)).len() == 14
    })
    .await;
    let expected: Vec<i64> = (0..10).chain(7..11).collect();
    assert_eq!(store.offsets(&partition(0)), expected);
    assert!(member.has_heard("lost solana.dextrades.proto[0]"));
    member.stop().await.unwrap();
}

#[tokio::test]
async fn brokers_that_cannot_be_reached_are_a_fault_and_no_end() {
    let broker = Broker {
        host: "127.0.0.1".to_owned(),
        port: ports::take(),
    };
    let member = Member::join(&settings(&broker.to_string()), &Store::default());
    eventually("the fault", || {
        let fault = member.control.status().fault();
        fault.is_some_and(|fault| fault.kind == SourceErrorKind::Unreachable)
    })
    .await;
    assert!(!member.control.status().is_connected());
    assert_eq!(member.metric("kafka_connection_active", &[]), Some(0.0));
    member.stop().await.unwrap();
}
