//! What the state wants in which situation.

use std::time::Duration;

use super::Ending;
use super::input::Input;
use super::partitions::Counts;
use super::simulation::{GRACE, HEARTBEAT, World, partition};
use crate::source::{SourceCommand, SourceError, SourceErrorKind};

const MOMENT: Duration = Duration::from_millis(600);

/// A member that reads these.
fn reading(numbers: &[i32]) -> World {
    let mut world = World::new(4);
    world.give(numbers);
    world.answer();
    world.round();
    world.wanted();
    world
}

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
fn a_revocation_is_completed_once_all_of_it_is_settled_and_committed() {
    let mut world = reading(&[0, 1]);
    world.take(&[0, 1]);
    assert_eq!(world.wanted(), ["tell revoked 0", "tell revoked 1"]);
    world.round();
    assert_eq!(world.wanted(), ["pause 0 1"]);
    while world.settle() {}
    world.round();
    assert_eq!(world.wanted(), Vec::<String>::new());
    world.release();
    world.round();
    assert_eq!(
        world.wanted(),
        [
            "commit 0@5",
            "commit 1@5",
            "forget lag 0",
            "forget lag 1",
            "clear pauses 0 1",
            "unassign 0 1"
        ]
    );
}

#[test]
fn at_the_deadline_a_revocation_is_completed_whatever_is_unsettled() {
    let mut world = reading(&[0]);
    world.take(&[0]);
    world.pass(GRACE);
    world.round();
    let wanted = world.wanted();
    assert!(wanted.contains(&"tell lost 0".to_owned()), "{wanted:?}");
    assert_eq!(wanted.last().unwrap(), "unassign 0");
}

#[test]
fn what_the_group_has_given_to_others_is_neither_waited_for_nor_committed() {
    let mut world = reading(&[0]);
    world.settle();
    world.lost = true;
    world.take(&[0]);
    world.round();
    assert_eq!(
        world.wanted(),
        [
            "tell revoked 0",
            "forget lag 0",
            "tell lost 0",
            "clear pauses 0",
            "unassign 0"
        ]
    );
    world.pass(Duration::from_mins(1));
    world.round();
    assert_eq!(world.wanted(), Vec::<String>::new());
}

#[test]
fn a_partition_that_is_revoked_before_it_was_begun_is_lost_at_once() {
    let mut world = World::new(1);
    world.leaderless.insert(partition(0));
    world.give(&[0]);
    world.answer();
    world.round();
    world.wanted();
    world.take(&[0]);
    world.round();
    assert_eq!(
        world.wanted(),
        [
            "tell lost 0",
            "forget lag 0",
            "clear pauses 0",
            "unassign 0"
        ]
    );
}

#[test]
fn a_reset_offset_is_read_from_after_two_heartbeats_without_a_word() {
    let mut world = reading(&[0]);
    world.reset(0, 2);
    world.settle();
    assert_eq!(world.wanted(), ["tell lost 0"]);
    world.pass(HEARTBEAT + HEARTBEAT / 2);
    world.round();
    assert_eq!(world.wanted(), ["pause 0"]);
    world.pass(HEARTBEAT / 2);
    world.round();
    assert_eq!(world.wanted(), ["tell assigned 0"]);
    world.answer();
    world.round();
    assert_eq!(
        world.wanted(),
        ["find starts 0", "restart 0 at 2", "tell begun 0 at 2"]
    );
    assert_eq!((world.position(0), world.is_paused(0)), (Some(7), false));
}

#[test]
fn a_partition_that_is_another_s_by_now_is_given_up_without_another_word() {
    let mut world = reading(&[0]);
    world.reset(0, 2);
    world.settle();
    world.wanted();
    world.take(&[0]);
    world.round();
    assert_eq!(
        world.wanted(),
        ["forget lag 0", "clear pauses 0", "unassign 0"]
    );
}

#[test]
fn commands_about_a_claim_that_is_over_do_nothing() {
    let mut world = reading(&[0]);
    let old = crate::source::Claim {
        partition: partition(0),
        generation: 1,
    };
    world.reset(0, 2);
    world.settle();
    world.pass(2 * HEARTBEAT);
    world.round();
    world.wanted();
    let claim = || old.clone();
    for command in [
        SourceCommand::Begin {
            claim: claim(),
            stored: Some(9),
        },
        SourceCommand::Settled {
            claim: claim(),
            next: 9,
        },
        SourceCommand::Release(claim()),
        SourceCommand::Reclaim(claim()),
    ] {
        world.feed(Input::Command(command));
    }
    world.pass(Duration::from_mins(1));
    world.round();
    assert_eq!(world.wanted(), Vec::<String>::new());
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
    world.feed(Input::EndsHeard(vec![(partition(0), 10)]));
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
fn a_member_that_is_stopped_settles_what_it_has_and_is_over() {
    let mut world = reading(&[0]);
    world.feed(Input::Command(SourceCommand::Stop));
    world.round();
    world.round();
    assert!(!world.state.is_over());
    while world.settle() {}
    world.release();
    world.round();
    assert!(world.state.is_over());
    let wanted = world.wanted();
    assert!(wanted.contains(&"commit 0@5".to_owned()), "{wanted:?}");
    assert!(!wanted.iter().any(|one| one.starts_with("unassign")));
}

#[test]
fn a_member_that_is_stopped_while_the_group_waits_answers_it_first() {
    let mut world = World::new(1);
    world.give(&[0]);
    world.feed(Input::Command(SourceCommand::Stop));
    for _ in 0..4 {
        world.round();
    }
    assert!(world.state.is_over());
    assert_eq!(world.rebalance, None);
}

#[test]
fn a_member_without_a_pipeline_or_with_a_broken_client_is_over_at_once() {
    let mut world = reading(&[0]);
    world.feed(Input::PipelineGone);
    assert!(world.state.is_over());
    assert_eq!(world.state.into_ending(), Some(Ending::Aborted));
    let fault = SourceError::new(SourceErrorKind::Group, "fenced");
    let mut world = reading(&[0]);
    world.feed(Input::Broken(fault.clone()));
    assert!(world.state.is_over());
    assert_eq!(world.state.into_ending(), Some(Ending::Broken(fault)));
}
