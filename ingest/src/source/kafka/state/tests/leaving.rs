//! How partitions are given up, and the whole group.

use std::time::Duration;

use super::reading;
use crate::position::StoredPosition;
use crate::source::kafka::state::Ending;
use crate::source::kafka::state::input::Input;
use crate::source::kafka::state::simulation::{GRACE, HEARTBEAT, World, partition};
use crate::source::{SourceCommand, SourceError, SourceErrorKind};

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
fn a_partition_whose_offset_is_written_before_it_is_begun_is_asked_for_again() {
    let mut world = World::new(1);
    world.give(&[0]);
    world.answer();
    world.reset(0, 7);
    world.look_after();
    assert_eq!(
        world.wanted(),
        ["tell assigned 0", "tell lost 0", "tell assigned 0"]
    );
    world.answer();
    world.round();
    assert_eq!(
        world.wanted(),
        ["find starts 0", "assign 0", "tell begun 0 at 7"]
    );
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
            stored: Some(StoredPosition::new(9, None)),
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
