//! Answers that are valid for good, for an epoch, or not at all.

use super::*;

#[test]
fn what_is_about_a_final_slot_is_for_good_at_once_and_otherwise_when_the_slot_is_final() {
    let pinned = |about| {
        let keep = Retention::Pinned {
            about: Slot(about),
            slots: 4,
        };
        scene(CONFIRMED, keep)
    };
    assert!(pinned(968).settles());
    assert!(!pinned(969).settles());
    assert_eq!(pinned(998).lives(), Some(4));
    let (scope, entry) = pinned(998).shelve().unwrap();
    assert_eq!(scope, KeyScope::AtCommitment(CONFIRMED));
    assert_eq!(entry.freshness(&later(29)), EntryFreshness::Stale(26));
    assert_eq!(entry.freshness(&later(30)), EntryFreshness::Permanent);
}

#[test]
fn what_is_for_good_needs_no_knowledge_of_the_upstream() {
    let keep = Retention::Pinned {
        about: Slot(900),
        slots: 4,
    };
    for (keep, read_at) in [(keep, 900), (Retention::Forever, 0)] {
        let scene = Scene {
            reached: None,
            ..scene(CONFIRMED, keep)
        };
        assert!(scene.settles());
        assert_eq!(scene.shelve().unwrap().1.read_at, Slot(read_at));
    }
}

#[test]
fn what_any_fork_might_have_said_is_for_good_only_if_its_upstream_knew_the_slot_as_final() {
    let rooted = |about, reached| Scene {
        reached,
        ..scene(
            Commitment::Finalized,
            Retention::Rooted {
                about: Slot(about),
                slots: 2,
            },
        )
    };
    assert!(rooted(968, Some(968)).settles());
    assert!(rooted(968, Some(1000)).settles());
    assert!(!rooted(968, Some(967)).settles());
    assert!(!rooted(968, None).settles());
    assert!(!rooted(969, Some(1000)).settles());
    assert_eq!(rooted(968, None).shelve(), None);
    assert_eq!(rooted(990, Some(968)).lives(), Some(2));
    // The block may have been forked away by the time its slot is final.
    let (_, entry) = rooted(990, Some(968)).shelve().unwrap();
    assert!(matches!(
        entry.freshness(&later(100)),
        EntryFreshness::Stale(_)
    ));
}

#[test]
fn what_holds_for_an_epoch_ends_with_it_if_it_is_certainly_of_it() {
    let epoch = |read_at| Scene {
        read_at: Some(read_at),
        ..scene(Commitment::Finalized, Retention::Epoch { slots: 2 })
    };
    assert_eq!(epoch(968).lives(), Some(100));
    // Read before the epoch began: it says what held in the one before.
    assert_eq!(epoch(899).shelve(), None);
    let mut soon = epoch(968);
    soon.view.epoch_start = Some(Slot(969));
    assert_eq!(soon.lives(), Some(2));
    for unknown in [(None, Some(Slot(1099))), (Some(Slot(900)), None)] {
        let mut scene = epoch(968);
        (scene.view.epoch_start, scene.view.epoch_end) = unknown;
        assert_eq!(scene.lives(), Some(2));
    }
    // Nobody has told of the new epoch yet.
    let mut past = epoch(968);
    past.view.epoch_end = Some(Slot(999));
    assert_eq!(past.lives(), Some(2));
}

#[test]
fn a_skipped_slot_is_known_for_a_while_once_it_is_final() {
    let absent = |about, reached| {
        let keep = Retention::Absent {
            about: Slot(about),
            slots: 150,
        };
        Scene {
            reached: Some(reached),
            ..scene(CONFIRMED, keep).method("getBlock")
        }
    };
    assert_eq!(absent(968, 999).lives(), Some(150));
    assert_eq!(absent(969, 999).shelve(), None);
}

#[test]
fn a_slot_an_upstream_had_not_reached_may_have_been_skipped_on_a_fork_only() {
    let absent = |reached| {
        let keep = Retention::Absent {
            about: Slot(968),
            slots: 150,
        };
        Scene {
            reached,
            ..scene(Commitment::Finalized, keep).method("getBlockTime")
        }
    };
    assert_eq!(absent(Some(968)).lives(), Some(150));
    assert_eq!(absent(Some(967)).shelve(), None);
    assert_eq!(absent(None).shelve(), None);
}
