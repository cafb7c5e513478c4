//! What an operator sets shortens every kind of life.

use super::*;

#[test]
fn a_rule_shortens_every_kind_of_life_and_nothing_else() {
    let about = Slot(990);
    let absent = Retention::Absent {
        about: Slot(900),
        slots: 150,
    };
    for (method, keep, usual, most, lives) in [
        (
            "getBalance",
            Retention::Head { slots: 2 },
            Some(2),
            1,
            Some(1),
        ),
        (
            "getBalance",
            Retention::Head { slots: 1 },
            Some(1),
            2,
            Some(1),
        ),
        (
            "getBlock",
            Retention::Pinned { about, slots: 4 },
            Some(4),
            3,
            Some(3),
        ),
        (
            "getBlockTime",
            Retention::Rooted { about, slots: 1 },
            Some(1),
            1,
            Some(1),
        ),
        (
            "getInflationRate",
            Retention::Epoch { slots: 2 },
            Some(100),
            50,
            Some(50),
        ),
        (
            "getInflationRate",
            Retention::Epoch { slots: 2 },
            Some(100),
            5000,
            Some(100),
        ),
        ("getBlock", absent, Some(150), 3, Some(3)),
    ] {
        let scene = || scene(CONFIRMED, keep).method(method);
        assert_eq!(scene().lives(), usual, "{keep:?}");
        assert_eq!(scene().rule(most).lives(), lives, "{keep:?}");
        assert_eq!(scene().rule(0).shelve(), None, "{keep:?}");
        assert!(!scene().rule(0).policy.keeps(scene().class.method));
    }
}

#[test]
fn what_is_for_good_stays_so_under_a_rule_for_the_time_before_and_is_forgotten_under_one_for_all() {
    let keep = Retention::Pinned {
        about: Slot(900),
        slots: 4,
    };
    let block = || scene(CONFIRMED, keep).method("getBlock");
    assert!(block().rule(1).settles());
    assert_eq!(block().rule(0).shelve(), None);
    let genesis = || scene(Commitment::Finalized, Retention::Forever).method("getGenesisHash");
    assert!(genesis().settles());
    let (scope, _) = genesis().rule(10).shelve().unwrap();
    assert_eq!(scope, KeyScope::AtCommitment(Commitment::Finalized));
    assert_eq!(genesis().rule(10).lives(), Some(10));
    assert_eq!(genesis().rule(0).shelve(), None);
}

#[test]
fn a_longer_life_is_for_answers_that_say_something() {
    let scene = |result| Scene {
        result,
        ..scene(CONFIRMED, Retention::Head { slots: 1 })
    };
    for (result, lives) in [
        ("5", 10),
        (r#"{"context":{"slot":999},"value":5}"#, 10),
        (r#"{"context":{"slot":999},"value":[null]}"#, 10),
        ("null", 1),
        (r#"{"context":{"slot":999},"value":null}"#, 1),
        (r#"{"context": {"slot":999}, "value" : null }"#, 1),
    ] {
        assert_eq!(scene(result).rule(10).lives(), Some(lives), "{result}");
    }
}

#[test]
fn no_rule_makes_anything_of_what_is_never_kept() {
    for keep in [Retention::Never, HEAD] {
        let scene = scene(CONFIRMED, keep).method("getSignatureStatuses");
        assert_eq!(scene.rule(10).shelve(), None);
    }
    let absent_block = Retention::Absent {
        about: Slot(900),
        slots: 150,
    };
    let scene = scene(CONFIRMED, absent_block).method("getBlock").rule(1000);
    assert_eq!(scene.lives(), Some(150));
}
