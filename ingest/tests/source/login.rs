//! Logins and certificates, with Kafka itself.

use perijove_core::Secret;
use perijove_core::settings::Setting;
use perijove_ingest::config::{Broker, Kafka, KafkaTls, Mechanism};
use perijove_ingest::source::SourceErrorKind;
use perijove_tests::kafka::{GUEST, Listener, USER};

use crate::cluster::{cluster, produce, through};
use crate::member::{Member, eventually};
use crate::mock::assert_once;
use crate::store::Store;

/// Waits until a consumer with these settings knows what is wrong.
async fn assert_fault(kafka: &Kafka, kind: SourceErrorKind) {
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
    let certified = through(&cluster, Listener::Ssl);
    let wrong_password = Kafka {
        password: Some(Secret::new("wrong")),
        ..sasl.clone()
    };
    let no_rights = Kafka {
        username: Some(Secret::new(GUEST)),
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
    let no_certificate = Kafka {
        tls: KafkaTls {
            certificate: None,
            key: None,
            ..certified.tls.clone()
        },
        ..certified
    };
    let wrong_name = Kafka {
        brokers: vec![Broker::from_text("no-such-host.invalid:9092").unwrap()],
        ..sasl.clone()
    };
    for (settings, kind) in [
        (wrong_password, SourceErrorKind::Login),
        (no_rights, SourceErrorKind::Forbidden),
        (wrong_mechanism, SourceErrorKind::Mechanism),
        (wrong_authority, SourceErrorKind::Tls),
        (no_certificate, SourceErrorKind::Certificate),
        (wrong_name, SourceErrorKind::Name),
    ] {
        assert_fault(&settings, kind).await;
    }
}

#[tokio::test]
async fn the_name_in_a_certificate_counts_only_if_it_is_told_to() {
    let cluster = cluster(1, 1).await;
    produce(&cluster, 0, 0..10).await;
    let mut settings = through(&cluster, Listener::SaslSsl);
    // The same machine by a name that is not in its certificate.
    for broker in &mut settings.brokers {
        broker.host = "0.0.0.0".to_owned();
    }
    assert!(settings.tls.verify_hostname);
    assert_fault(&settings, SourceErrorKind::Tls).await;
    settings.tls.verify_hostname = false;
    let store = Store::default();
    let member = Member::join(&settings, &store);
    eventually("all to be stored", || store.len() == 10).await;
    member.stop().await.unwrap();
}
