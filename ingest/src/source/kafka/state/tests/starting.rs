//! Where partitions are started, and when.

use super::{MOMENT, reading};
use crate::source::kafka::state::input::Input;
use crate::source::kafka::state::partitions::Counts;
use crate::source::kafka::state::simulation::{World, partition};

#[test]
fn an_assignment_is_completed_once_the_pipeline_has_said_where_all_of_it_stopped() {
    let mut world = World::new(2);
    world.give(&[0, 1]);
    assert_eq!(world.wanted(), ["tell assigned 0", "tell assigned 1"]);
    world.round();
    assert_eq!(world.wanted(), Vec::<String>::new());
    assert!(world.state.is_waiting());
    world.answer();
    world.round();
    assert_eq!(
        world.wanted(),
        [
            "find starts 0 1",
            "assign 0 1",
            "tell begun 0 at 0",
            "tell begun 1 at 0"
        ]
    );
    assert_eq!(world.rebalance, None);
    let counts = Counts {
        owned: 2,
        reading: 2,
        paused: 0,
    };
    assert_eq!(world.state.counts(), counts);
}

#[test]
fn an_empty_assignment_is_completed_too() {
    let mut world = World::new(1);
    world.give(&[]);
    world.round();
    assert_eq!(world.wanted(), ["find starts ", "assign "]);
}

#[test]
fn what_expired_before_it_was_read_is_told_as_a_gap() {
    let mut world = World::new(1);
    world.reset(0, 3);
    world.logs.insert(partition(0), 7..10);
    world.give(&[0]);
    world.answer();
    world.round();
    let wanted = world.wanted();
    assert_eq!(wanted.last().unwrap(), "tell begun 0 at 7, 3..7 gone");
}

#[test]
fn brokers_that_do_not_answer_are_asked_again_later_and_nothing_is_begun_meanwhile() {
    let mut world = World::new(2);
    world.give(&[0, 1]);
    world.answer();
    world.brokers = false;
    world.round();
    world.round();
    assert_eq!(
        world.wanted(),
        ["tell assigned 0", "tell assigned 1", "find starts 0 1"]
    );
    world.brokers = true;
    world.pass(MOMENT);
    world.round();
    assert_eq!(world.wanted()[..2], ["find starts 0 1", "assign 0 1"]);
}

#[test]
fn an_assignment_that_the_client_refuses_is_tried_again() {
    let mut world = World::new(1);
    world.give(&[0]);
    world.answer();
    world.client = false;
    world.round();
    world.client = true;
    world.pass(MOMENT);
    world.round();
    assert_eq!(world.held(), [0]);
}

#[test]
fn a_partition_without_a_leader_is_assigned_paused_and_started_once_it_has_one() {
    let mut world = World::new(2);
    world.leaderless.insert(partition(0));
    world.give(&[0, 1]);
    world.answer();
    world.round();
    assert_eq!(
        world.wanted()[2..],
        [
            "find starts 0 1",
            "assign 0 1",
            "pause 0",
            "tell begun 1 at 0"
        ]
    );
    world.pass(MOMENT);
    world.round();
    assert_eq!(world.wanted(), ["find starts 0"]);
    world.leaderless.clear();
    world.pass(MOMENT);
    world.round();
    assert_eq!(
        world.wanted()[..3],
        ["find starts 0", "restart 0 at 0", "tell begun 0 at 0"]
    );
    assert!(!world.is_paused(0));
}

#[test]
fn a_position_that_is_gone_is_jumped_and_the_others_read_on() {
    let mut world = reading(&[0, 1]);
    world.logs.insert(partition(0), 8..10);
    world.round();
    world.round();
    assert_eq!(
        world.wanted(),
        [
            "check positions 0 1",
            "restart 0 at 8",
            "tell begun 0 at 8, 5..8 gone"
        ]
    );
}

#[test]
fn a_position_that_is_there_again_is_read_from_again() {
    let mut world = reading(&[0]);
    world.feed(Input::OffsetOutOfRange);
    world.round();
    assert_eq!(world.wanted(), ["check positions 0", "restart 0 at 5"]);
}

#[test]
fn a_partition_without_a_leader_keeps_no_gap_from_being_found() {
    let mut world = World::new(2);
    world.leaderless.insert(partition(0));
    world.give(&[0, 1]);
    world.answer();
    world.round();
    world.logs.insert(partition(1), 8..10);
    for _ in 0..3 {
        world.pass(MOMENT);
        world.round();
    }
    let wanted = world.wanted();
    let found = wanted
        .iter()
        .any(|one| one == "tell begun 1 at 8, 5..8 gone");
    assert!(found, "{wanted:?}");
}
