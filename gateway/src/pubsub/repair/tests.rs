//! Answers in the shape of notifications.

use serde_json::{Map, Value};
use tokio::net::TcpListener;

use super::*;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::testing::hub_dialling;
use crate::pubsub::upstream_socket::dial::NetworkDialer;
use crate::upstream::testing::settings;

#[tokio::test(start_paused = true)]
async fn notifications_are_held_no_longer_than_promised_for_an_upstream_that_hangs() {
    // It accepts connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hub = hub_dialling(vec![settings("hangs", &url)], Box::new(NetworkDialer));
    for (kind, promised) in [
        (SubscriptionKind::Slot, SHORT),
        (SubscriptionKind::Root, SHORT_FOR_ROOTS),
    ] {
        let spec = SubscriptionSpec::read(kind, None).unwrap();
        let topic = Topic::new(1, spec, &hub.total);
        let missing = MissedRange {
            after: 10,
            until: 13,
            next: Bytes::new(),
        };
        let started = Instant::now();
        assert_eq!(missed(&hub, &topic, &missing).await, None);
        let took = started.elapsed();
        assert!(
            took <= promised + Duration::from_millis(5),
            "{kind:?}: {took:?}"
        );
    }
}

#[test]
fn a_status_is_the_last_notification_once_its_commitment_is_reached() {
    let result = |status: &str| {
        Bytes::from(format!(
            r#"{{"context":{{"slot":90}},"value":[{{"slot":80,"confirmations":1,"err":{{"InstructionError":[0,{{"Custom":1}}]}},"confirmationStatus":"{status}"}}]}}"#
        ))
    };
    let last = values::signature(&result("confirmed"), 0, Commitment::Confirmed).unwrap();
    let value: Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(value["context"]["slot"], 80);
    assert_eq!(value["value"]["err"]["InstructionError"][0], 0);
    assert!(values::signature(&result("confirmed"), 0, Commitment::Finalized).is_none());
    assert!(values::signature(&result("finalized"), 0, Commitment::Processed).is_some());
    let unknown = Bytes::from_static(br#"{"context":{"slot":90},"value":[null]}"#);
    assert!(values::signature(&unknown, 0, Commitment::Processed).is_none());
    assert!(values::signature(&unknown, 1, Commitment::Processed).is_none());
}

#[test]
fn a_status_that_names_no_commitment_goes_by_its_confirmations() {
    for (status, reached) in [
        (
            r#""confirmations":null,"confirmationStatus":null"#,
            Some(Commitment::Finalized),
        ),
        (r#""confirmations":null"#, Some(Commitment::Finalized)),
        (r#""confirmations":2"#, Some(Commitment::Confirmed)),
        (
            r#""confirmations":1,"confirmationStatus":null"#,
            Some(Commitment::Processed),
        ),
        (r#""confirmations":0"#, Some(Commitment::Processed)),
        (
            r#""confirmations":null,"confirmationStatus":"processed""#,
            Some(Commitment::Processed),
        ),
        (r#""confirmations":null,"confirmationStatus":"x""#, None),
        (r#""err":null"#, None),
    ] {
        let result = format!(r#"{{"context":{{"slot":90}},"value":[{{"slot":80,{status}}}]}}"#);
        let result = Bytes::from(result);
        for commitment in Commitment::ALL {
            let landed = values::signature(&result, 0, commitment).is_some();
            assert_eq!(
                landed,
                reached >= Some(commitment),
                "{status} at {commitment:?}"
            );
        }
    }
}

#[test]
fn slots_that_were_missed_form_a_chain() {
    let next = SlotInfo {
        slot: 16,
        parent: 15,
        root: 6,
    };
    let told: Vec<_> = values::slots(12, &[13, 15], next)
        .iter()
        .filter_map(SlotInfo::read)
        .map(|info| (info.slot, info.parent, info.root))
        .collect();
    assert_eq!(told, [(13, 12, 3), (15, 13, 5)]);
}

#[test]
fn an_account_that_is_gone_is_told_as_an_empty_one() {
    let gone = Bytes::from_static(b"null");
    let config = json!({ "encoding": "base64" });
    let empty = values::account(&gone, config.as_object().unwrap());
    let empty: Value = serde_json::from_slice(&empty).unwrap();
    assert_eq!(empty["lamports"], 0);
    assert_eq!(empty["data"], json!(["", "base64"]));
    // A decoder accepts it, as it accepts what a node sends.
    let config = json!({ "encoding": "base64+zstd" });
    let empty = values::account(&gone, config.as_object().unwrap());
    let empty: Value = serde_json::from_slice(&empty).unwrap();
    assert_eq!(empty["data"], json!(["KLUv/QBYAQAA", "base64+zstd"]));
    let there = Bytes::from_static(br#"{"lamports":5}"#);
    assert_eq!(values::account(&there, &Map::new()), there);
}
