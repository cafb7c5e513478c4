//! Answers in the shape of notifications.

use super::*;

#[test]
fn a_status_is_the_last_notification_once_its_commitment_is_reached() {
    let result = |status: &str| {
        Bytes::from(format!(
            r#"{{"context":{{"slot":90}},"value":[{{"slot":80,"confirmations":1,"err":{{"InstructionError":[0,{{"Custom":1}}]}},"confirmationStatus":"{status}"}}]}}"#
        ))
    };
    let last = values::signature(&result("confirmed"), Commitment::Confirmed).unwrap();
    let value: Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(value["context"]["slot"], 80);
    assert_eq!(value["value"]["err"]["InstructionError"][0], 0);
    assert!(values::signature(&result("confirmed"), Commitment::Finalized).is_none());
    assert!(values::signature(&result("finalized"), Commitment::Processed).is_some());
    let unknown = Bytes::from_static(br#"{"context":{"slot":90},"value":[null]}"#);
    assert!(values::signature(&unknown, Commitment::Processed).is_none());
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
    let there = Bytes::from_static(br#"{"lamports":5}"#);
    assert_eq!(values::account(&there, &Map::new()), there);
}
