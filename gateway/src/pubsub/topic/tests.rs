//! One shared subscription, its clients, and the sockets it is heard on.

use super::*;
use crate::pubsub::caller_share::CallerShare;
use crate::pubsub::outbox::Outbox;

fn topic(kind: SubscriptionKind) -> Topic {
    let params = match kind {
        SubscriptionKind::Account => r#"["3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2"]"#,
        SubscriptionKind::Logs => r#"["all"]"#,
        _ => "[]",
    };
    Topic::new(
        1,
        SubscriptionSpec::read(kind, Some(params.as_bytes())).unwrap(),
        &BacklogTotal::new(usize::MAX),
    )
}

fn texts(outbox: &Outbox) -> Vec<serde_json::Value> {
    std::iter::from_fn(|| outbox.take())
        .map(|item| serde_json::from_slice(&item.into_text()).unwrap())
        .collect()
}

fn slot(slot: u64) -> Bytes {
    let parent = slot - 1;
    Bytes::from(format!(r#"{{"slot":{slot},"parent":{parent},"root":0}}"#))
}

fn slots(outbox: &Outbox) -> Vec<u64> {
    let slot = |text: serde_json::Value| text["params"]["result"]["slot"].as_u64().unwrap();
    texts(outbox).into_iter().map(slot).collect()
}

#[test]
fn clients_that_join_before_an_upstream_has_taken_it_wait_and_then_share_it() {
    let topic = topic(SubscriptionKind::Slot);
    let outboxes = [(); 2].map(|()| Outbox::new(10_000));
    let mut soon = Vec::new();
    for (id, outbox) in (7..).zip(&outboxes) {
        match topic.join(id, outbox) {
            JoinOutcome::Soon(taken) => soon.push(taken),
            _ => panic!(),
        }
    }
    assert_eq!(topic.taken(1), None, "it had no other upstream");
    for mut taken in soon {
        assert_eq!(taken.try_recv().unwrap(), Ok(()));
    }
    assert_eq!(topic.hear(1, &slot(5)).told, 2);
    for (id, outbox) in (7..).zip(&outboxes) {
        let told = texts(outbox);
        assert_eq!(told[0]["params"]["subscription"], id);
        assert_eq!(told[0]["method"], "slotNotification");
    }
    assert!(topic.leave(7) && !topic.leave(7) && !topic.is_idle());
    assert!(topic.leave(8) && topic.is_idle());
}

#[test]
fn after_a_move_only_the_new_socket_counts_and_what_was_missed_comes_first() {
    let topic = topic(SubscriptionKind::Slot);
    let outbox = Outbox::new(10_000);
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &slot(10));
    assert_eq!(topic.taken(2), Some(Slot(10)));
    assert_eq!(topic.hear(1, &slot(11)).told, 0, "the old socket");
    let heard = topic.hear(2, &slot(14));
    let missing = NotificationVerdict::Missing {
        after: 10,
        until: 13,
    };
    assert_eq!(heard.verdict, missing);
    topic.hear(2, &slot(15));
    assert_eq!(slots(&outbox), [10], "they wait");
    let filled = topic.fill(&slot(14), Some(vec![slot(11), slot(12), slot(13)]));
    assert_eq!(filled, (5, None));
    assert_eq!(slots(&outbox), [11, 12, 13, 14, 15]);
    assert_eq!(topic.hear(2, &slot(16)).told, 1);
}

#[test]
fn a_second_move_while_the_first_is_repaired_is_repaired_as_well() {
    let topic = topic(SubscriptionKind::Slot);
    let outbox = Outbox::new(10_000);
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &slot(10));
    topic.taken(2);
    topic.hear(2, &slot(12));
    topic.taken(3);
    topic.hear(3, &slot(15));
    let (told, missing) = topic.fill(&slot(12), Some(vec![slot(11)]));
    let missing = missing.unwrap();
    assert_eq!((told, missing.after, missing.until), (2, 12, 14));
    let filled = topic.fill(&slot(15), Some(vec![slot(13), slot(14)]));
    assert_eq!(filled, (3, None));
    assert_eq!(slots(&outbox), [10, 11, 12, 13, 14, 15]);
}

#[test]
fn a_second_move_is_repaired_even_if_it_tells_nothing_until_the_first_is() {
    let topic = topic(SubscriptionKind::Root);
    let outbox = Outbox::new(10_000);
    let root = |root: u64| Bytes::from(root.to_string());
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &root(10));
    topic.taken(2);
    topic.hear(2, &root(12));
    topic.taken(3);
    let filled = topic.fill(&root(12), Some(vec![root(11), root(12)]));
    assert_eq!(filled, (2, None));
    let heard = topic.hear(3, &root(15));
    let missing = NotificationVerdict::Missing {
        after: 12,
        until: 15,
    };
    assert_eq!(heard.verdict, missing);
    let filled = topic.fill(&root(15), Some(vec![root(13), root(14), root(15)]));
    assert_eq!(filled, (3, None));
    let told: Vec<_> = texts(&outbox)
        .iter()
        .map(|text| text["params"]["result"].as_u64().unwrap())
        .collect();
    assert_eq!(told, [10, 11, 12, 13, 14, 15]);
}

#[test]
fn every_move_while_one_is_repaired_is_repaired_as_well() {
    let topic = topic(SubscriptionKind::Root);
    let outbox = Outbox::new(10_000);
    let root = |root: u64| Bytes::from(root.to_string());
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &root(10));
    for (socket, told) in [(2, 12), (3, 15), (4, 18)] {
        topic.taken(socket);
        topic.hear(socket, &root(told));
    }
    let mut next = Some((11, 12));
    while let Some((after, until)) = next {
        let missed = (after..=until).map(root).collect();
        let (_, missing) = topic.fill(&root(until), Some(missed));
        next = missing.map(|missing| (missing.after + 1, missing.until));
    }
    let told = texts(&outbox).into_iter();
    let told: Vec<_> = told
        .map(|text| text["params"]["result"].as_u64().unwrap())
        .collect();
    assert_eq!(told, (10..=18).collect::<Vec<_>>());
}

#[test]
fn a_gap_begins_where_the_topic_moved_however_late_its_repair_fails() {
    let topic = topic(SubscriptionKind::Account);
    let outbox = Outbox::new(10_000);
    let account = |slot: u64| wrapped(Slot(slot), slot.to_string().as_bytes());
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &account(100));
    let first = topic.taken(2).unwrap();
    for slot in 101..126 {
        topic.hear(2, &account(slot));
    }
    let second = topic.taken(3).unwrap();
    assert_eq!((first, second), (Slot(100), Slot(125)));
    topic.has_gap(second);
    topic.has_gap(first);
    topic.hear(3, &account(130));
    let last = texts(&outbox).pop().unwrap();
    assert_eq!(last["params"]["gap"]["afterSlot"], 100);
}

#[test]
fn a_subscription_that_has_ended_counts_for_nobody() {
    let params = format!(r#"["{}"]"#, bs58::encode([7; 64]).into_string());
    let spec =
        SubscriptionSpec::read(SubscriptionKind::Signature, Some(params.as_bytes())).unwrap();
    let topic = Topic::new(1, spec, &BacklogTotal::new(usize::MAX));
    let outbox = Outbox::new(10_000);
    let share: Arc<CallerShare> = Arc::default();
    let counted = share.subscribe(Some(1)).unwrap();
    topic.join(7, Subscriber::counted(&outbox, counted));
    topic.taken(1);
    assert!(share.subscribe(Some(1)).is_none());
    let last = Bytes::from_static(br#"{"context":{"slot":6},"value":{"err":null}}"#);
    topic.hear(1, &last);
    assert!(share.subscribe(Some(1)).is_some(), "on any of its sockets");
}

#[test]
fn a_gap_that_cannot_be_filled_is_told_with_the_next_notification_and_only_there() {
    let topic = topic(SubscriptionKind::Logs);
    let outbox = Outbox::new(10_000);
    let logs = |slot: u64| {
        Bytes::from(format!(
            r#"{{"context":{{"slot":{slot}}},"value":{{"signature":"s{slot}","err":null,"logs":[]}}}}"#
        ))
    };
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &logs(5));
    topic.taken(2);
    topic.hear(2, &logs(5));
    // Who has joined since has missed nothing.
    let late = Outbox::new(10_000);
    topic.join(8, &late);
    topic.hear(2, &logs(8));
    topic.hear(2, &logs(9));
    let gaps = |outbox: &Outbox| -> Vec<_> {
        let texts = texts(outbox).into_iter();
        texts
            .map(|text| text["params"]["gap"]["afterSlot"].as_u64())
            .collect()
    };
    assert_eq!(gaps(&outbox), [None, Some(5), None]);
    assert_eq!(gaps(&late), [None, None]);
}

#[test]
fn a_one_shot_ends_with_its_notification() {
    let params = format!(r#"["{}"]"#, bs58::encode([7; 64]).into_string());
    let spec =
        SubscriptionSpec::read(SubscriptionKind::Signature, Some(params.as_bytes())).unwrap();
    let topic = Topic::new(1, spec, &BacklogTotal::new(usize::MAX));
    let outbox = Outbox::new(10_000);
    topic.join(7, &outbox);
    topic.taken(1);
    let last = Bytes::from_static(br#"{"context":{"slot":6},"value":{"err":null}}"#);
    assert!(topic.found(&last).ended);
    assert_eq!(topic.hear(1, &last).told, 0);
    assert!(matches!(topic.join(8, &outbox), JoinOutcome::Ended));
    assert_eq!(texts(&outbox).len(), 1);
    assert_eq!(topic.taken(2), None, "it is not armed again");
    assert!(topic.has_ended());
}

#[test]
fn a_refusal_reaches_everybody_who_waits() {
    let topic = topic(SubscriptionKind::Slot);
    let outbox = Outbox::new(10_000);
    let JoinOutcome::Soon(mut taken) = topic.join(7, &outbox) else {
        panic!()
    };
    let error = RpcError::new(-32601, "Method not found");
    topic.refuse(&error);
    assert_eq!(taken.try_recv().unwrap(), Err(error));
    assert!(topic.has_ended());
}

#[test]
fn slots_that_overtake_each_other_are_told_in_order() {
    let topic = topic(SubscriptionKind::Slot);
    let outbox = Outbox::new(10_000);
    topic.join(7, &outbox);
    topic.taken(1);
    topic.hear(1, &slot(10));
    let heard = topic.hear(1, &slot(13));
    let missing = NotificationVerdict::Missing {
        after: 10,
        until: 12,
    };
    assert_eq!(heard.verdict, missing);
    assert_eq!(topic.hear(1, &slot(12)).told, 0, "11 is missing still");
    assert_eq!(topic.hear(1, &slot(11)).told, 3);
    assert_eq!(slots(&outbox), [10, 11, 12, 13]);
    // What was asked for meanwhile is not needed any more, and must not stand for another gap.
    topic.hear(1, &slot(16));
    let late = topic.fill(&slot(13), Some(vec![slot(11), slot(12)]));
    assert_eq!(late, (0, None));
    assert!(slots(&outbox).is_empty());
    assert_eq!(topic.fill(&slot(16), None), (1, None));
    topic.hear(1, &slot(17));
    let told = texts(&outbox);
    assert_eq!(told[0]["params"]["gap"]["afterSlot"], 13);
    assert_eq!(told[1]["params"]["result"]["slot"], 17);
    assert!(told[1]["params"].get("gap").is_none());
}

#[test]
fn who_joins_late_is_told_a_value_by_the_read_or_by_the_upstream_and_not_by_both() {
    let topic = topic(SubscriptionKind::Account);
    let [first, late] = [(); 2].map(|()| Outbox::new(10_000));
    topic.join(7, &first);
    topic.taken(1);
    let told = |slot, lamports: u64| {
        let value = format!(r#"{{"lamports":{lamports}}}"#);
        (Slot(slot), Bytes::from(value))
    };
    topic.join(8, &late);
    topic.begins_replay(8);
    // The read is ahead of the upstream that notifies.
    let (slot, value) = told(10, 5);
    assert!(topic.tell_one(8, slot, &value));
    topic.ends_replay(8);
    assert_eq!(topic.hear(1, &wrapped(slot, &value)).told, 1);
    let (slot, value) = told(11, 6);
    assert_eq!(topic.hear(1, &wrapped(slot, &value)).told, 2);
    let slots = |outbox: &Outbox| -> Vec<u64> {
        let slot = |text: serde_json::Value| {
            let context = &text["params"]["result"]["context"];
            context["slot"].as_u64().unwrap()
        };
        texts(outbox).into_iter().map(slot).collect()
    };
    assert_eq!((slots(&first), slots(&late)), (vec![10, 11], vec![10, 11]));
}

#[test]
fn a_notification_shows_its_slot_unless_the_cluster_cannot_be_there_yet() {
    let topic = topic(SubscriptionKind::Account);
    let outbox = Outbox::new(10_000);
    topic.join(7, &outbox);
    topic.taken(1);
    let account = |slot: u64| wrapped(Slot(slot), format!(r#"{{"lamports":{slot}}}"#).as_bytes());
    for slot in [100, 116, 101] {
        assert_eq!(
            topic.hear_within(1, &account(slot), Some(Slot(100))).told,
            1
        );
    }
    let told = std::iter::from_fn(|| outbox.take());
    let shown: Vec<_> = told
        .map(|item| item.shows().map(|shown| (shown.slot.0, shown.commitment)))
        .collect();
    let at = |slot| Some((slot, topic.spec.commitment));
    assert_eq!(shown, [at(100), None, at(101)]);
}
