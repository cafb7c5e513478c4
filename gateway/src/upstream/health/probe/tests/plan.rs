//! What one round of a probe asks.

use super::*;

fn circumstances(round: u64, metered: bool) -> ProbeCircumstances {
    ProbeCircumstances {
        round,
        sparing: metered,
        unwell: false,
        unproven: false,
        told: [false; 3],
        fed: false,
        may_skip: true,
        failed: false,
    }
}

fn methods(given: &ProbeCircumstances) -> Vec<&'static str> {
    plan(given).into_iter().map(ProbeQuestion::method).collect()
}

#[test]
fn everything_is_asked_at_the_start_and_the_slots_in_every_round() {
    let slots = ["getSlot"; 3];
    let start = methods(&circumstances(0, false));
    assert_eq!(start[..2], ["getGenesisHash", "getBlockHeight"]);
    assert_eq!(start[2..5], slots);
    assert_eq!(
        start[5..],
        [
            "getMaxShredInsertSlot",
            "getHealth",
            "getEpochInfo",
            "minimumLedgerSlot",
            "getFirstAvailableBlock"
        ]
    );
    assert_eq!(methods(&circumstances(1, false)), slots);
    assert_eq!(methods(&circumstances(5, false)).len(), 5);
}

#[test]
fn of_a_node_whose_slots_are_heard_one_other_commitment_is_asked_by_turns() {
    let slots = |round, change: fn(&mut ProbeCircumstances)| {
        let mut given = ProbeCircumstances {
            fed: true,
            ..circumstances(round, false)
        };
        change(&mut given);
        let questions = plan(&given).into_iter();
        let level = |question| match question {
            ProbeQuestion::Slot(level) => Some(level),
            _ => None,
        };
        questions.filter_map(level).collect::<Vec<_>>()
    };
    assert_eq!(slots(2, |_| {}), [Commitment::Confirmed]);
    assert_eq!(slots(3, |_| {}), [Commitment::Finalized]);
    // The height is held against the processed slot.
    assert_eq!(slots(10, |_| {}), Commitment::ALL);
    for doubtful in [
        (|given| given.unwell = true) as fn(&mut ProbeCircumstances),
        |given| given.unproven = true,
        |given| given.failed = true,
        |given| given.fed = false,
    ] {
        assert_eq!(slots(3, doubtful), Commitment::ALL);
    }
}

#[test]
fn a_node_that_was_away_is_asked_who_it_is() {
    let mut given = circumstances(3, false);
    given.failed = true;
    assert!(plan(&given).contains(&ProbeQuestion::Genesis));
}

#[test]
fn a_metered_upstream_is_asked_for_one_slot() {
    assert_eq!(
        methods(&circumstances(0, true)),
        [
            "getGenesisHash",
            "getSlot",
            "getEpochInfo",
            "getFirstAvailableBlock"
        ]
    );
    for round in 1..100 {
        assert_eq!(methods(&circumstances(round, true)), ["getSlot"]);
    }
    let mut unwell = circumstances(7, true);
    unwell.unwell = true;
    assert_eq!(methods(&unwell), ["getSlot", "getHealth"]);
}

#[test]
fn where_history_begins_is_asked_rarely() {
    let rounds = |metered: bool, most: u64| {
        let asks = |round: &u64| {
            methods(&circumstances(*round, metered)).contains(&"getFirstAvailableBlock")
        };
        (0..most).filter(asks).count()
    };
    assert_eq!(rounds(false, 1_500), 10, "once a minute");
    assert_eq!(rounds(true, 2 * 2_880), 2, "once a day");
    let mut back = circumstances(3, false);
    back.failed = true;
    assert!(methods(&back).contains(&"minimumLedgerSlot"));
    back.sparing = true;
    assert!(!methods(&back).contains(&"getFirstAvailableBlock"));
}

#[test]
fn what_live_answers_told_is_not_asked_for_a_while() {
    let mut given = circumstances(1, false);
    given.told = [false, true, true];
    assert_eq!(plan(&given), [ProbeQuestion::Slot(Commitment::Processed)]);
    given.may_skip = false;
    assert_eq!(plan(&given).len(), 3);
    let mut metered = circumstances(1, true);
    metered.told = [true; 3];
    assert_eq!(plan(&metered), []);
}
