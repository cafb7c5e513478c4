//! Against Kafka itself: logins, certificates, brokers that die, records that expire.

use perijove_core::Secret;
use perijove_core::settings::Setting;
use perijove_ingest::config::{Broker, Kafka, KafkaTls, Mechanism, Security};
use perijove_ingest::source::FaultKind;
use perijove_tests::kafka::{Kafka as Cluster, Listener, PASSWORD, USER};

use crate::member::{Member, TOPIC, eventually, settings};
use crate::mock::{assert_once, partition};
use crate::store::Store;

async fn cluster(brokers: usize, partitions: i32) -> Cluster {
    let cluster = Cluster::start_brokers(brokers).await;
    cluster.create_topic(TOPIC, partitions).await;
    cluster
}

async fn produce(cluster: &Cluster, at: i32, numbers: std::ops::Range<i64>) {
    let payloads = numbers.map(|number| format!("{at}/{number}"));
    cluster.produce(TOPIC, at, payloads).await;
}

/// Settings with which a listener lets one in.
fn through(cluster: &Cluster, listener: Listener) -> Kafka {
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

/// Waits until a consumer with these settings knows what is wrong.
async fn assert_fault(kafka: &Kafka, kind: FaultKind) {
    let member = Member::join(kafka, &Store::default());
    let what = format!("the fault {kind:?}");
    eventually(&what, || {
        let fault = member.control.status().fault();
        fault.is_some_and(|fault| fault.kind == kind)
    })
    .await;
    member.stop().await.unwrap();
}

#[tokio::test]
async fn every_login_and_every_certificate_lets_us_read() {
    let cluster = cluster(1, 1).await;
    produce(&cluster, 0, 0..10).await;
    let mut ways: Vec<Kafka> = Listener::ALL
        .map(|listener| through(&cluster, listener))
        .into();
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256] {
        ways.push(Kafka {
            mechanism,
            ..through(&cluster, Listener::SaslPlaintext)
        });
    }
    for (number, mut way) in ways.into_iter().enumerate() {
        way.group.id = format!("{USER}-{number}");
        let store = Store::default();
        let member = Member::join(&way, &store);
        eventually("all to be stored", || store.len() == 10).await;
        member.stop().await.unwrap();
        assert_once(&store, 1, 0..10);
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let cluster = cluster(1, 1).await;
    let sasl = through(&cluster, Listener::SaslPlaintext);
    let tls = through(&cluster, Listener::SaslSsl);
    let wrong_password = Kafka {
        password: Some(Secret::new("wrong")),
        ..sasl.clone()
    };
    let wrong_mechanism = Kafka {
        mechanism: Mechanism::Plain,
        ..tls.clone()
    };
    let wrong_authority = Kafka {
        tls: KafkaTls {
            ca: Some(cluster.other_ca_file()),
            ..tls.tls.clone()
        },
        ..tls.clone()
    };
    let wrong_name = Kafka {
        brokers: vec![Broker::from_text("no-such-host.invalid:9092").unwrap()],
        ..sasl.clone()
    };
    for (settings, kind) in [
        (wrong_password, FaultKind::Login),
        (wrong_mechanism, FaultKind::Mechanism),
        (wrong_authority, FaultKind::Tls),
        (wrong_name, FaultKind::Name),
    ] {
        assert_fault(&settings, kind).await;
    }
}

#[tokio::test]
async fn records_that_expired_unread_are_a_gap() {
    let cluster = cluster(1, 1).await;
    produce(&cluster, 0, 0..20).await;
    let store = Store::default();
    store.reset(&partition(0), 3);
    cluster.lose_before(TOPIC, 0, 8).await;
    let member = Member::join(&through(&cluster, Listener::Plaintext), &store);
    eventually("the rest to be stored", || store.len() == 12).await;
    assert_eq!(store.gaps(), [(partition(0), 3..8)]);

    // And while it runs: held, until what is next has gone.
    member.control.hold(true);
    eventually("it to pause", || {
        member.metric("kafka_paused_partitions", &[]) == Some(1.0)
    })
    .await;
    produce(&cluster, 0, 20..40).await;
    cluster.lose_before(TOPIC, 0, 30).await;
    member.control.hold(false);
    eventually("the rest to be stored", || {
        store.next(&partition(0)) == Some(40)
    })
    .await;
    assert_eq!(store.gaps(), [(partition(0), 3..8), (partition(0), 20..30)]);
    let gaps = member.metric("kafka_gap_records_total", &[("topic", TOPIC)]);
    assert_eq!(gaps, Some(15.0));
    member.stop().await.unwrap();
    let expected: Vec<i64> = (8..20).chain(30..40).collect();
    assert_eq!(store.offsets(&partition(0)), expected);
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
