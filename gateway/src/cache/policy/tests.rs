mod bounds;

use std::sync::Arc;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use super::*;
use crate::cache::EntryFreshness;
use crate::solana::classify;

/// A cluster at 1000, confirmed one slot behind and finalized 32, as seen a moment ago.
fn view() -> SlotView {
    SlotView {
        now: Slot(1000),
        seen: [Some(Slot(1000)), Some(Slot(999)), Some(Slot(968))],
        expected: [Some(Slot(1000)), Some(Slot(999)), Some(Slot(968))],
        epoch_start: Some(Slot(900)),
        epoch_end: Some(Slot(1099)),
    }
}

/// The same, so many slots later.
fn later(slots: u64) -> SlotView {
    let view = view();
    SlotView {
        now: Slot(view.now.0 + slots),
        seen: view.seen.map(|slot| slot.map(|slot| Slot(slot.0 + slots))),
        expected: view
            .expected
            .map(|slot| slot.map(|slot| Slot(slot.0 + slots))),
        ..view
    }
}

fn answer(result: &str) -> Answer {
    let body = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
    Answer::scan(Bytes::from(body)).unwrap()
}

/// One answer and what is known when it comes.
#[derive(Debug)]
struct Scene {
    policy: CachePolicy,
    class: Class,
    result: &'static str,
    keep: Retention,
    read_at: Option<u64>,
    reached: Option<u64>,
    view: SlotView,
}

/// `getBalance` at a commitment, answered at its tip.
fn scene(commitment: Commitment, keep: Retention) -> Scene {
    let mut class = classify("getBalance", None);
    class.context.commitment = commitment;
    let tip = view().expected(commitment).map(|slot| slot.0);
    Scene {
        policy: CachePolicy::new(&config::Cache::default()),
        class,
        result: "5",
        keep,
        read_at: None,
        reached: tip,
        view: view(),
    }
}

impl Scene {
    fn method(mut self, name: &str) -> Self {
        let context = self.class.context;
        self.class = classify(name, None);
        self.class.context = context;
        self
    }

    /// With a rule for its method.
    fn rule(mut self, slots: u32) -> Self {
        let mut settings = config::Cache::default();
        let rule = config::MethodRule { slots: Some(slots) };
        settings.methods.insert(self.class.method, rule);
        self.policy = CachePolicy::new(&settings);
        self
    }

    fn shelve(&self) -> Option<(KeyScope, CacheEntry)> {
        let dated = DatedRetention {
            keep: self.keep,
            read_at: self.read_at.map(Slot),
        };
        let source = AnswerOrigin {
            upstream: &Arc::from("v0"),
            reached: self.reached.map(Slot),
        };
        let answer = answer(self.result);
        self.policy
            .admit(&answer, &dated, &self.class, &self.view, &source)
    }

    /// For how many slots it is given; `None` if it is not kept.
    fn lives(&self) -> Option<u64> {
        let (_, entry) = self.shelve()?;
        let over =
            (0..10_000).find(|slots| entry.freshness(&later(*slots)) != EntryFreshness::Fresh);
        Some(over.expect("an end"))
    }

    fn settles(&self) -> bool {
        self.shelve().is_some_and(|(scope, entry)| {
            assert_eq!(
                scope == KeyScope::Permanent,
                entry.lifetime == Lifetime::Permanent
            );
            scope == KeyScope::Permanent
        })
    }
}

const CONFIRMED: Commitment = Commitment::Confirmed;
const HEAD: Retention = Retention::Head { slots: 4 };

#[test]
fn slots_are_counted_from_the_one_an_answer_was_read_at() {
    for (read_at, lives) in [
        (1000, Some(4)),
        (999, Some(4)),
        (998, Some(3)),
        (996, Some(1)),
        (995, None),
        (0, None),
    ] {
        let scene = Scene {
            read_at: Some(read_at),
            ..scene(CONFIRMED, HEAD)
        };
        assert_eq!(scene.lives(), lives, "{read_at}");
    }
}

#[test]
fn an_answer_of_a_slot_to_come_waits_for_it_and_lives_no_longer_for_that() {
    let scene = Scene {
        read_at: Some(1002),
        ..scene(CONFIRMED, HEAD)
    };
    let (_, entry) = scene.shelve().unwrap();
    let fresh = |slots: &u64| entry.freshness(&later(*slots)) == EntryFreshness::Fresh;
    assert_eq!((0..10).filter(fresh).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn an_answer_without_a_slot_is_as_old_as_its_upstream_may_have_been() {
    for (reached, lives) in [
        (Some(2000), Some(4)),
        (Some(999), Some(4)),
        (Some(997), Some(2)),
        (Some(990), None),
        (None, None),
    ] {
        let scene = Scene {
            reached,
            ..scene(CONFIRMED, HEAD)
        };
        assert_eq!(scene.lives(), lives, "{reached:?}");
        let entry = scene
            .shelve()
            .map(|(_, entry)| (entry.read_at.0, entry.dated));
        let expected = lives.and(reached).map(|reached| (reached.min(999), false));
        assert_eq!(entry, expected);
    }
}

#[test]
fn nothing_is_counted_at_a_commitment_of_which_nothing_is_known() {
    for read_at in [None, Some(1000)] {
        let mut scene = scene(CONFIRMED, HEAD);
        scene.read_at = read_at;
        scene.view.expected = [Some(Slot(1000)), None, Some(Slot(968))];
        assert_eq!(scene.shelve(), None);
    }
}

#[test]
fn an_answer_from_the_far_future_is_not_kept() {
    for (read_at, kept) in [(1032, true), (1033, false), (u64::MAX, false)] {
        let keep = Retention::Pinned {
            about: Slot(1),
            slots: 4,
        };
        for keep in [HEAD, keep, Retention::Forever] {
            let scene = Scene {
                read_at: Some(read_at),
                ..scene(CONFIRMED, keep)
            };
            assert_eq!(scene.shelve().is_some(), kept, "{read_at} {keep:?}");
        }
    }
}

#[test]
fn an_entry_says_what_its_answer_said_and_who_gave_it() {
    let mut scene = scene(CONFIRMED, HEAD);
    scene.read_at = Some(998);
    let (scope, entry) = scene.shelve().unwrap();
    assert_eq!(scope, KeyScope::AtCommitment(CONFIRMED));
    assert_eq!(entry.answer, answer("5").template());
    assert_eq!((entry.read_at, entry.dated), (Slot(998), true));
    assert_eq!(&*entry.upstream, "v0");
}

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

#[test]
fn what_is_too_large_or_unwanted_is_not_kept() {
    let with = |change: fn(&mut config::Cache)| {
        let mut scene = scene(CONFIRMED, HEAD);
        let mut settings = config::Cache::default();
        change(&mut settings);
        scene.policy = CachePolicy::new(&settings);
        scene
    };
    let length = answer("5").body().len();
    assert_eq!(length, 35);
    assert!(with(|settings| settings.max_entry = 35).shelve().is_some());
    assert!(with(|settings| settings.max_entry = 34).shelve().is_none());
    let off = with(|settings| settings.enabled = false);
    assert!(off.shelve().is_none() && !off.policy.enabled() && !off.policy.coalesces());
    assert!(!off.policy.keeps(Method::GetBalance));
    let alone = with(|settings| settings.coalesce = false);
    assert!(alone.shelve().is_some() && !alone.policy.coalesces());
}

#[test]
fn a_call_is_joined_for_a_slot_longer_than_an_answer_read_at_its_beginning_would_be_true() {
    let finalized = Commitment::Finalized;
    for (method, commitment, rule, slots) in [
        ("getBalance", CONFIRMED, None, 2),
        ("getBalance", finalized, None, 3),
        ("getBalance", finalized, Some(1), 2),
        ("getBalance", finalized, Some(0), 1),
        ("getProgramAccounts", CONFIRMED, Some(25), 26),
        ("getTransaction", finalized, None, 5),
        ("getSignatureStatuses", finalized, None, 1),
        ("getGenesisHash", finalized, None, u64::MAX),
    ] {
        let scene = scene(commitment, HEAD).method(method);
        let scene = match rule {
            Some(slots) => scene.rule(slots),
            None => scene,
        };
        assert_eq!(scene.policy.joins_for(&scene.class), slots, "{method}");
    }
}

#[test]
fn only_what_may_ever_be_kept_is_looked_for() {
    let policy = CachePolicy::new(&config::Cache::default());
    for method in [Method::GetBalance, Method::GetBlock, Method::GetGenesisHash] {
        assert!(policy.keeps(method));
    }
    for method in [
        Method::SendTransaction,
        Method::SimulateTransaction,
        Method::GetSignatureStatuses,
        Method::GetVersion,
        Method::Other,
    ] {
        assert!(!policy.keeps(method), "{method:?}");
    }
}
