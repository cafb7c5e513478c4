//! Notifications as they come over a move from one upstream to another, and what is told of them.

use super::*;

fn account(slot: u64, lamports: u64) -> Bytes {
    Bytes::from(format!(
        r#"{{"context":{{"slot":{slot}}},"value":{{"lamports":{lamports}}}}}"#
    ))
}

fn info(slot: u64, parent: u64) -> Bytes {
    SlotInfo {
        slot,
        parent,
        root: slot.saturating_sub(32),
    }
    .to_bytes()
}

#[test]
fn an_account_is_told_in_slot_order_and_nothing_twice() {
    let mut seen = DeliveredHistory::of(SubscriptionKind::Account);
    for (slot, lamports, expected) in [
        (10, 1, NotificationVerdict::Tell),
        (10, 1, NotificationVerdict::Repeated),
        // A second change within a slot.
        (10, 2, NotificationVerdict::Tell),
        // The same value, written again later.
        (12, 2, NotificationVerdict::Tell),
        // The next upstream is behind.
        (11, 7, NotificationVerdict::Outdated),
        (12, 2, NotificationVerdict::Repeated),
        (13, 3, NotificationVerdict::Tell),
    ] {
        assert_eq!(seen.hear(&account(slot, lamports)), expected, "{slot}");
    }
    assert_eq!(seen.newest(), Some(Slot(13)));
}

#[test]
fn a_slot_ahead_of_the_cluster_hides_nothing_that_its_socket_tells() {
    let root = |slot: u64| Bytes::from(slot.to_string());
    let told: [(SubscriptionKind, &dyn Fn(u64) -> Bytes); 2] = [
        (SubscriptionKind::Account, &|slot| account(slot, slot)),
        (SubscriptionKind::Root, &root),
    ];
    for (kind, notification) in told {
        let mut seen = DeliveredHistory::of(kind);
        let mut hear = |slot: u64, reach| {
            let verdict = seen.hear_within(&notification(slot), Some(Slot(reach)));
            verdict == NotificationVerdict::Tell
        };
        for (slot, reach, is_told) in [
            (100, 100, true),
            (116, 100, true),
            (99, 101, false),
            (101, 101, true),
            (102, 102, true),
            (102, 102, false),
            // It may have been true by now.
            (118, 102, true),
            (117, 117, false),
            (119, 119, true),
            (135, 119, true),
        ] {
            assert_eq!(hear(slot, reach), is_told, "{kind:?} {slot}");
        }
        // What another socket tells may merely be late.
        seen.moves();
        let late = seen.hear_within(&notification(120), Some(Slot(120)));
        assert_ne!(late, NotificationVerdict::Tell, "{kind:?}");
        assert_eq!(seen.newest(), Some(Slot(135)));
    }
}

#[test]
fn a_fresh_read_is_told_only_if_it_shows_something_else() {
    let mut seen = DeliveredHistory::of(SubscriptionKind::Account);
    seen.hear(&account(10, 1));
    let one = Bytes::from_static(br#"{ "lamports": 1 }"#);
    let two = Bytes::from_static(br#"{"lamports":2}"#);
    assert_eq!(
        seen.read_account(Slot(20), &one),
        NotificationVerdict::Repeated
    );
    assert_eq!(
        seen.read_account(Slot(9), &two),
        NotificationVerdict::Outdated
    );
    assert_eq!(seen.read_account(Slot(21), &two), NotificationVerdict::Tell);
    // What the read had in it already comes late.
    assert_eq!(seen.hear(&account(15, 2)), NotificationVerdict::Outdated);
    assert_eq!(seen.hear(&account(21, 2)), NotificationVerdict::Repeated);
    assert_eq!(seen.hear(&account(22, 3)), NotificationVerdict::Tell);
}

#[test]
fn accounts_of_a_program_are_told_each_in_its_order() {
    let keyed = |slot: u64, key: &str, lamports: u64| {
        Bytes::from(format!(
            r#"{{"context":{{"slot":{slot}}},"value":{{"pubkey":"{key}","account":{{"lamports":{lamports}}}}}}}"#
        ))
    };
    let read = |key: &str, lamports: u64| {
        Bytes::from(format!(
            r#"{{"account":{{"lamports":{lamports}}},"pubkey":"{key}"}}"#
        ))
    };
    let mut seen = DeliveredHistory::of(SubscriptionKind::Program);
    assert_eq!(seen.hear(&keyed(10, "a", 1)), NotificationVerdict::Tell);
    assert_eq!(seen.hear(&keyed(9, "b", 1)), NotificationVerdict::Tell);
    assert_eq!(seen.hear(&keyed(10, "a", 1)), NotificationVerdict::Repeated);
    assert_eq!(seen.hear(&keyed(9, "a", 5)), NotificationVerdict::Outdated);
    let mut fresh = |key: &str, lamports: u64, unknown: UnknownAccount| {
        seen.read_account_of_program(Slot(20), &read(key, lamports), unknown)
    };
    let ask = UnknownAccount::Ask;
    assert_eq!(fresh("a", 1, ask), NotificationVerdict::Repeated);
    assert_eq!(fresh("b", 2, ask), NotificationVerdict::Tell);
    assert_eq!(fresh("c", 2, ask), NotificationVerdict::Unknown);
    let tell = UnknownAccount::Tell;
    assert_eq!(fresh("c", 2, tell), NotificationVerdict::Tell);
    assert_eq!(fresh("c", 2, tell), NotificationVerdict::Repeated);
}

#[test]
fn a_signature_is_told_once() {
    let mut seen = DeliveredHistory::of(SubscriptionKind::Signature);
    let received = Bytes::from_static(br#"{"context":{"slot":5},"value":"receivedSignature"}"#);
    let last = Bytes::from_static(br#"{"context":{"slot":6},"value":{"err":null}}"#);
    assert_eq!(seen.hear(&received), NotificationVerdict::Tell);
    assert_eq!(seen.hear(&received), NotificationVerdict::Repeated);
    assert!(!seen.has_ended());
    assert_eq!(seen.hear(&last), NotificationVerdict::Tell);
    assert!(seen.has_ended());
    assert_eq!(seen.hear(&last), NotificationVerdict::Repeated);
}

#[test]
fn slots_missed_over_a_move_are_asked_for() {
    let mut seen = DeliveredHistory::of(SubscriptionKind::Slot);
    assert_eq!(seen.hear(&info(10, 9)), NotificationVerdict::Tell);
    // A skipped slot is none that was missed.
    assert_eq!(seen.hear(&info(12, 10)), NotificationVerdict::Tell);
    seen.moves();
    // The next upstream is behind at first.
    assert_eq!(seen.hear(&info(10, 9)), NotificationVerdict::Repeated);
    assert_eq!(seen.hear(&info(11, 10)), NotificationVerdict::Outdated);
    let missing = NotificationVerdict::Missing {
        after: 12,
        until: 15,
    };
    assert_eq!(seen.hear(&info(16, 15)), missing);
    // It asks until the answer is there.
    assert_eq!(seen.hear(&info(16, 15)), missing);
    for slot in 13..=15 {
        assert_eq!(seen.hear(&info(slot, slot - 1)), NotificationVerdict::Tell);
    }
    assert_eq!(seen.hear(&info(16, 15)), NotificationVerdict::Tell);
    // One that its upstream left out is.
    let missing = NotificationVerdict::Missing {
        after: 16,
        until: 18,
    };
    assert_eq!(seen.hear(&info(19, 18)), missing);
    seen.is_complete();
    assert_eq!(seen.hear(&info(19, 18)), NotificationVerdict::Tell);
    assert!(matches!(
        seen.hear(&info(22, 21)),
        NotificationVerdict::Missing { .. }
    ));
}

#[test]
fn what_the_first_slot_has_overtaken_is_not_told() {
    let mut seen = DeliveredHistory::of(SubscriptionKind::Slot);
    assert_eq!(seen.hear(&info(10, 9)), NotificationVerdict::Tell);
    assert_eq!(seen.hear(&info(9, 8)), NotificationVerdict::Outdated);
    assert_eq!(seen.hear(&info(11, 10)), NotificationVerdict::Tell);
}

#[test]
fn a_move_without_a_gap_asks_for_nothing() {
    let mut seen = DeliveredHistory::of(SubscriptionKind::Slot);
    seen.hear(&info(10, 9));
    seen.moves();
    // Slot 11 was skipped by the cluster.
    assert_eq!(seen.hear(&info(12, 10)), NotificationVerdict::Tell);
}

#[test]
fn roots_rise_and_those_missed_over_a_move_are_asked_for() {
    let root = |root: u64| Bytes::from(root.to_string());
    let mut seen = DeliveredHistory::of(SubscriptionKind::Root);
    for (slot, expected) in [
        (5, NotificationVerdict::Tell),
        (5, NotificationVerdict::Repeated),
        (4, NotificationVerdict::Repeated),
        (8, NotificationVerdict::Tell),
    ] {
        assert_eq!(seen.hear(&root(slot)), expected, "{slot}");
    }
    seen.moves();
    assert_eq!(seen.hear(&root(8)), NotificationVerdict::Repeated);
    assert_eq!(
        seen.hear(&root(11)),
        NotificationVerdict::Missing {
            after: 8,
            until: 11
        }
    );
    seen.is_complete();
    // Slot 9 was skipped.
    assert_eq!(seen.hear(&root(10)), NotificationVerdict::Tell);
    assert_eq!(seen.hear(&root(11)), NotificationVerdict::Tell);
}

#[test]
fn logs_of_two_upstreams_are_told_once() {
    let logs = |slot: u64, signature: &str| {
        Bytes::from(format!(
            r#"{{"context":{{"slot":{slot}}},"value":{{"signature":"{signature}","err":null,"logs":[]}}}}"#
        ))
    };
    let mut seen = DeliveredHistory::of(SubscriptionKind::Logs);
    assert_eq!(seen.hear(&logs(5, "a")), NotificationVerdict::Tell);
    assert_eq!(seen.hear(&logs(5, "b")), NotificationVerdict::Tell);
    seen.moves();
    assert_eq!(seen.hear(&logs(5, "b")), NotificationVerdict::Repeated);
    assert_eq!(seen.hear(&logs(6, "c")), NotificationVerdict::Tell);
    assert_eq!(seen.newest(), Some(Slot(6)));
}

#[test]
fn what_makes_no_sense_is_not_told() {
    for kind in SubscriptionKind::ALL {
        if kind != SubscriptionKind::Vote {
            let garbage = Bytes::from_static(br#""garbage""#);
            assert_eq!(
                DeliveredHistory::of(kind).hear(&garbage),
                NotificationVerdict::Garbled,
                "{kind:?}"
            );
        }
    }
}
