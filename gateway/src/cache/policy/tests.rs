mod bounds;
mod lasting;
mod rules;

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
