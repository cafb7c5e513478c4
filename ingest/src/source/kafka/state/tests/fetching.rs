//! What is fetched, how far it is behind, and what Kafka is told.

use std::time::Duration;

use super::reading;
use crate::source::SourceCommand;
use crate::source::kafka::state::input::{HeardEnd, Input};
use crate::source::kafka::state::simulation::{World, partition};

#[test]
fn while_there_is_no_room_nothing_is_polled_and_later_partitions_are_paused() {
    let mut world = reading(&[0, 1]);
    // Five records a round: the second fills the buffer of eight.
    world.round();
    assert!(!world.state.may_poll(world.now));
    world.pass(Duration::from_secs(2));
    world.round();
    assert_eq!(world.wanted(), ["pause 0 1"]);
    world.settle();
    world.settle();
    world.round();
    // Five of eight are still under way.
    assert!(world.is_paused(0) && world.is_paused(1));
    world.settle();
    world.settle();
    world.round();
    assert_eq!(world.wanted().last().unwrap(), "resume 0 1");
}

#[test]
fn nothing_is_fetched_while_the_pipeline_holds_it() {
    let mut world = reading(&[0]);
    world.settle();
    world.feed(Input::Command(SourceCommand::Hold(true)));
    world.round();
    assert_eq!(world.position(0), Some(5));
    world.feed(Input::Command(SourceCommand::Hold(false)));
    world.round();
    assert_eq!(world.wanted(), ["pause 0", "resume 0"]);
}

#[test]
fn a_halted_partition_is_fetched_no_more_while_others_are() {
    let mut world = reading(&[0, 1]);
    world.settle();
    world.feed(Input::Command(SourceCommand::Halt(crate::source::Claim {
        partition: partition(0),
        generation: 1,
    })));
    world.round();
    world.pass(Duration::from_mins(1));
    world.logs.insert(partition(0), 0..30);
    world.logs.insert(partition(1), 0..30);
    world.round();
    world.round();
    assert_eq!(world.position(0), Some(5));
    assert!(world.position(1) > Some(5));
    assert!(world.is_paused(0) && !world.is_paused(1));
    let wanted = world.wanted();
    assert!(wanted.contains(&"pause 0".to_owned()), "{wanted:?}");
    assert!(
        !wanted.iter().any(|one| one.starts_with("resume")),
        "{wanted:?}"
    );
}

#[test]
fn offsets_are_committed_when_the_interval_is_over() {
    let mut world = reading(&[0]);
    world.settle();
    world.round();
    assert_eq!(world.wanted(), Vec::<String>::new());
    world.pass(Duration::from_secs(5));
    world.round();
    assert_eq!(world.wanted(), ["commit 0@5"]);
}

#[test]
fn the_lag_is_what_is_not_stored_and_paused_partitions_are_asked_about() {
    let mut world = reading(&[0]);
    let heard = |offset, fetched| {
        let end = HeardEnd { offset, fetched };
        Input::EndsHeard(vec![(partition(0), end)])
    };
    world.feed(heard(10, None));
    let lags = |world: &World| world.state.lags().map(|(_, lag)| lag).collect::<Vec<_>>();
    assert_eq!(lags(&world), [10]);
    world.settle();
    assert_eq!(lags(&world), [5]);
    world.feed(Input::Command(SourceCommand::Hold(true)));
    world.round();
    world.logs.insert(partition(0), 0..30);
    world.pass(Duration::from_secs(5));
    world.feed(Input::EndsHeard(Vec::new()));
    assert_eq!(lags(&world), [25]);
}

#[test]
fn marks_of_transactions_behind_the_last_record_are_no_lag() {
    let mut world = reading(&[0]);
    world.round();
    let lags = |world: &World| world.state.lags().map(|(_, lag)| lag).collect::<Vec<_>>();
    let heard = |fetched| {
        let offset = 13;
        let end = HeardEnd { offset, fetched };
        Input::EndsHeard(vec![(partition(0), end)])
    };
    // Ten records are read, and none of them stored.
    world.feed(heard(Some(13)));
    assert_eq!(lags(&world), [13]);
    while world.settle() {}
    world.feed(heard(None));
    assert_eq!(lags(&world), [3]);
    world.feed(heard(Some(12)));
    assert_eq!(lags(&world), [1]);
    world.feed(heard(Some(13)));
    assert_eq!(lags(&world), [0]);
    // The next record.
    world.logs.insert(partition(0), 0..11);
    world.round();
    assert_eq!(lags(&world), [3]);
}
