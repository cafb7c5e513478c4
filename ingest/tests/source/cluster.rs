//! Against Kafka itself: members that come and go, brokers that die, records that expire, topics that
//! grow.

use perijove_core::Secret;
use perijove_core::settings::Setting;
use perijove_ingest::config::{Assignment, Kafka, KafkaTls, Security, Start};
use perijove_ingest::source::SourceErrorKind;
use perijove_tests::kafka::{self, Kafka as Cluster, Listener, PASSWORD, PATIENCE, USER};
use rdkafka::Offset;
use rdkafka::producer::Producer as _;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::beginning::committed;
use crate::groups::{PARTITIONS, join_and_leave};
use crate::member::{Member, TOPIC, eventually, settings};
use crate::mock::{assert_once, partition};
use crate::store::Store;

pub async fn cluster(brokers: usize, partitions: i32) -> Cluster {
    let cluster = Cluster::start_brokers(brokers).await;
    cluster.create_topic(TOPIC, partitions).await;
    cluster
}

pub async fn produce(cluster: &Cluster, at: i32, numbers: std::ops::Range<i64>) {
    let payloads = numbers.map(|number| format!("{at}/{number}"));
    cluster.produce(TOPIC, at, payloads).await;
}

/// Settings with which a listener lets one in.
pub fn through(cluster: &Cluster, listener: Listener) -> Kafka {
    let servers = cluster.servers(listener);
    let mut kafka = Kafka {
        security: Security::from_text(&listener.protocol().to_lowercase()).unwrap(),
        ..settings(&servers)
    };
    if listener.authenticated() {
        kafka.username = Some(Secret::new(USER));
        kafka.password = Some(Secret::new(PASSWORD));
    }
    if listener.secured() {
        kafka.tls = KafkaTls {
            ca: Some(cluster.ca_file()),
            certificate: Some(cluster.certificate_file()),
            key: Some(cluster.key_file()),
            key_password: None,
            verify_hostname: true,
        };
    }
    kafka
}

async fn lose_records(assignment: Assignment) {
    let cluster = cluster(1, 2).await;
    produce(&cluster, 0, 0..20).await;
    produce(&cluster, 1, 0..5).await;
    let store = Store::default();
    store.reset(&partition(0), 3);
    cluster.lose_before(TOPIC, 0, 8).await;
    let settings = Kafka {
        assignment,
        ..through(&cluster, Listener::Plaintext)
    };
    let member = Member::join(&settings, &store);
    eventually("the rest to be stored", || store.len() == 12 + 5).await;
    assert_eq!(store.gaps(), [(partition(0), 3..8)]);

    // And while it runs: held, until what is next has gone.
    member.control.hold(true);
    eventually("it to pause", || {
        member.metric("kafka_paused_partitions", &[]) == Some(2.0)
    })
    .await;
    produce(&cluster, 0, 20..40).await;
    produce(&cluster, 1, 5..10).await;
    let lag = [("topic", TOPIC), ("partition", "0")];
    eventually("the lag to be seen", || {
        member.metric("kafka_consumer_lag", &lag) == Some(20.0)
    })
    .await;
    cluster.lose_before(TOPIC, 0, 30).await;
    member.control.hold(false);
    eventually("the rest to be stored", || {
        let next = |at| store.next(&partition(at));
        (next(0), next(1)) == (Some(40), Some(10))
    })
    .await;
    assert_eq!(store.gaps(), [(partition(0), 3..8), (partition(0), 20..30)]);
    let counted = |name| member.metric(name, &[("topic", TOPIC)]);
    assert_eq!(counted("kafka_gap_records_total"), Some(15.0));
    assert_eq!(counted("kafka_gaps_total"), Some(2.0));
    member.stop().await.unwrap();
    let expected: Vec<i64> = (8..20).chain(30..40).collect();
    assert_eq!(store.offsets(&partition(0)), expected);
    assert_eq!(store.offsets(&partition(1)), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_that_expired_unread_are_a_gap_cooperative_sticky() {
    lose_records(Assignment::CooperativeSticky).await;
}

#[tokio::test]
async fn records_that_expired_unread_are_a_gap_round_robin() {
    lose_records(Assignment::RoundRobin).await;
}

#[tokio::test]
async fn members_join_and_leave_a_group_of_kafka_itself() {
    let cluster = cluster(1, PARTITIONS).await;
    for assignment in [Assignment::CooperativeSticky, Assignment::RoundRobin] {
        let mut settings = Kafka {
            assignment,
            ..through(&cluster, Listener::SaslPlaintext)
        };
        settings.group.id = format!("{USER}-{assignment:?}");
        let (_, first) = cluster.watermarks(TOPIC, 0).await;
        let store = Store::default();
        for at in 0..PARTITIONS {
            store.reset(&partition(at), first);
        }
        join_and_leave(&settings, &store, first, async |numbers| {
            for at in 0..PARTITIONS {
                produce(&cluster, at, numbers.clone()).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_partition_that_is_added_is_read_from_its_beginning() {
    let cluster = cluster(1, 1).await;
    produce(&cluster, 0, 0..10).await;
    let settings = Kafka {
        start: Start::Latest,
        ..through(&cluster, Listener::Plaintext)
    };
    let store = Store::default();
    let first = Member::join(&settings, &store);
    eventually("reading to begin", || {
        first.has_heard(&format!("begun {} 10", partition(0)))
    })
    .await;
    eventually("Kafka to be told", || {
        committed(&settings) == Offset::Offset(10)
    })
    .await;
    cluster.add_partitions(TOPIC, 2).await;
    produce(&cluster, 1, 0..5).await;
    // The group looks at the topic again when somebody joins.
    let second = Member::join(&settings, &store);
    eventually("what is in it to be stored", || {
        store.next(&partition(1)) == Some(5)
    })
    .await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
    assert!(store.offsets(&partition(0)).is_empty());
    assert_eq!(store.offsets(&partition(1)), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_broker_that_dies_and_comes_back_costs_nothing() {
    let mut cluster = cluster(3, 3).await;
    let store = Store::default();
    let settings = through(&cluster, Listener::SaslPlaintext);
    let members = [
        Member::join(&settings, &store),
        Member::join(&settings, &store),
    ];
    for at in 0..3 {
        produce(&cluster, at, 0..50).await;
    }
    eventually("all to be stored", || store.len() == 150).await;
    for dying in 0..3 {
        cluster.kill(dying);
        for at in 0..3 {
            let first = 50 * (i64::try_from(dying).unwrap() + 1);
            produce(&cluster, at, first..first + 50).await;
        }
        let all = 150 * (dying + 2);
        eventually("all to be stored", || store.len() == all).await;
        cluster.restart(dying).await;
    }
    for member in members {
        member.stop().await.unwrap();
    }
    assert_once(&store, 3, 0..200);
}

#[tokio::test]
async fn a_cluster_that_was_away_altogether_is_read_on() {
    let mut cluster = cluster(1, 2).await;
    let store = Store::default();
    let member = Member::join(&through(&cluster, Listener::Plaintext), &store);
    for at in 0..2 {
        produce(&cluster, at, 0..50).await;
    }
    eventually("all to be stored", || store.len() == 100).await;
    cluster.kill(0);
    eventually("it to notice", || !member.control.status().is_connected()).await;
    cluster.restart(0).await;
    for at in 0..2 {
        produce(&cluster, at, 50..60).await;
    }
    eventually("all to be stored", || store.len() == 120).await;
    assert!(member.control.status().is_connected());
    member.stop().await.unwrap();
    assert_once(&store, 2, 0..60);
}

#[tokio::test]
async fn a_topic_that_is_not_there_yet_is_a_fault_and_read_once_it_is_made() {
    let cluster = Cluster::start().await;
    let store = Store::default();
    let member = Member::join(&through(&cluster, Listener::Plaintext), &store);
    eventually("the fault", || {
        let fault = member.control.status().fault();
        fault.is_some_and(|fault| fault.kind == SourceErrorKind::Topic)
    })
    .await;
    // The client says it once; it stays true however well it is connected.
    let connected = Instant::now();
    eventually("some seconds to pass", || {
        let fault = member.control.status().fault();
        assert!(fault.is_some_and(|fault| fault.kind == SourceErrorKind::Topic));
        member.control.status().is_connected() && connected.elapsed().as_secs() >= 8
    })
    .await;
    cluster.create_topic(TOPIC, 1).await;
    produce(&cluster, 0, 0..5).await;
    eventually("all to be stored", || store.len() == 5).await;
    eventually("no fault", || member.control.status().fault().is_none()).await;
    member.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_process_of_the_same_name_ends_the_first() {
    let cluster = cluster(1, 1).await;
    produce(&cluster, 0, 0..5).await;
    let mut settings = through(&cluster, Listener::Plaintext);
    settings.group.member = Some("pod-0".to_owned());
    let store = Store::default();
    let first = Member::join(&settings, &store);
    eventually("all to be stored", || store.len() == 5).await;
    let second = Member::join(&settings, &store);
    let fault = first.ended().await.unwrap_err();
    assert_eq!(fault.kind, SourceErrorKind::Group, "{fault}");
    produce(&cluster, 0, 5..10).await;
    eventually("all to be stored", || store.len() == 10).await;
    second.stop().await.unwrap();
    assert_once(&store, 1, 0..10);
}

#[tokio::test]
async fn what_was_written_in_transactions_is_read_when_they_are_committed() {
    let cluster = cluster(1, 1).await;
    let mut producer = cluster.transactional_producer("tests").await;
    // Five records each; every transaction ends with a mark that takes an offset.
    for commits in [true, false, true] {
        producer.begin_transaction().unwrap();
        kafka::produce(&producer, TOPIC, 0, (0..5).map(|number| number.to_string())).await;
        let ended = spawn_blocking(move || {
            if commits {
                producer.commit_transaction(PATIENCE).unwrap();
            } else {
                producer.abort_transaction(PATIENCE).unwrap();
            }
            producer
        });
        producer = ended.await.unwrap();
    }
    let store = Store::default();
    let member = Member::join(&through(&cluster, Listener::Plaintext), &store);
    eventually("all to be stored", || store.len() == 10).await;
    let lag = [("topic", TOPIC), ("partition", "0")];
    eventually("no lag", || {
        member.metric("kafka_consumer_lag", &lag) == Some(0.0)
    })
    .await;
    member.stop().await.unwrap();
    let expected: Vec<i64> = (0..5).chain(12..17).collect();
    assert_eq!(store.offsets(&partition(0)), expected);
    assert_eq!(store.gaps(), []);
}

#[tokio::test]
async fn a_broker_that_hangs_is_gone_around() {
    let mut cluster = cluster(3, 3).await;
    let store = Store::default();
    let member = Member::join(&through(&cluster, Listener::Plaintext), &store);
    for at in 0..3 {
        produce(&cluster, at, 0..50).await;
    }
    eventually("all to be stored", || store.len() == 150).await;
    cluster.freeze(1);
    for at in 0..3 {
        produce(&cluster, at, 50..100).await;
    }
    eventually("all to be stored", || store.len() == 300).await;
    cluster.wake(1);
    for at in 0..3 {
        produce(&cluster, at, 100..150).await;
    }
    eventually("all to be stored", || store.len() == 450).await;
    member.stop().await.unwrap();
    assert_once(&store, 3, 0..150);
}
