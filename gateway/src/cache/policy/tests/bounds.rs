//! What holds for every answer and every sequence of views.

use proptest::prelude::*;

use super::*;

/// A view in which anything may be known and nothing fits together.
fn any_view() -> impl Strategy<Value = SlotView> {
    let slot = || prop::option::weighted(0.8, (0_u64..2000).prop_map(Slot));
    (
        0_u64..2000,
        [slot(), slot(), slot()],
        [slot(), slot(), slot()],
        slot(),
        slot(),
    )
        .prop_map(|(now, seen, expected, epoch_start, epoch_end)| SlotView {
            now: Slot(now),
            seen,
            expected,
            epoch_start,
            epoch_end,
        })
}

/// A view near the time at which the answers of these tests come, or any.
fn view_then() -> impl Strategy<Value = SlotView> {
    prop_oneof![any_view(), (0_u64..50).prop_map(later), Just(view())]
}

fn any_keep() -> impl Strategy<Value = Retention> {
    let slots = 0_u32..200;
    let about = || (850_u64..1050).prop_map(Slot);
    prop_oneof![
        Just(Retention::Never),
        Just(Retention::Forever),
        slots.clone().prop_map(|slots| Retention::Head { slots }),
        slots.clone().prop_map(|slots| Retention::Epoch { slots }),
        (about(), slots.clone()).prop_map(|(about, slots)| Retention::Pinned { about, slots }),
        (about(), slots.clone()).prop_map(|(about, slots)| Retention::Rooted { about, slots }),
        (about(), slots).prop_map(|(about, slots)| Retention::Absent { about, slots }),
    ]
}

prop_compose! {
    fn any_scene()(
        commitment in prop::sample::select(Commitment::ALL.to_vec()),
        keep in any_keep(),
        method in prop::sample::select(vec!["getBalance", "getBlock", "getInflationRate", "getGenesisHash"]),
        rule in prop::option::of(0_u32..300),
        read_at in prop::option::of(900_u64..1040),
        reached in prop::option::weighted(0.9, 900_u64..1040),
        view in view_then(),
        result in prop::sample::select(vec!["5", "null"]),
    ) -> Scene {
        let scene = scene(commitment, keep).method(method);
        let scene = match rule {
            Some(slots) => scene.rule(slots),
            None => scene,
        };
        Scene { result, read_at, reached, view, ..scene }
    }
}

/// The most slots an answer of this rule may be given for, counted from the one it was read at.
/// `None` where the rule does not count slots.
fn most(scene: &Scene) -> Option<u64> {
    let slots = match scene.keep {
        Retention::Never => 0,
        Retention::Head { slots }
        | Retention::Pinned { slots, .. }
        | Retention::Rooted { slots, .. } => match scene.policy.rules.get(&scene.class.method) {
            Some(MethodLifetime::Longer(longer)) if scene.result != "null" => *longer,
            _ => slots,
        },
        Retention::Absent { slots, .. } => slots,
        Retention::Epoch { .. } | Retention::Forever => return None,
    };
    Some(u64::from(slots))
}

/// The more, the less true.
fn rank(freshness: EntryFreshness) -> u64 {
    match freshness {
        EntryFreshness::Permanent => 0,
        EntryFreshness::Fresh => 1,
        EntryFreshness::Stale(past) => past.saturating_add(1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_entry_is_never_true_once_so_many_slots_have_passed_at_its_commitment(
        scene in any_scene(),
        views in prop::collection::vec(view_then(), 1..20),
    ) {
        let (Some((_, entry)), Some(most)) = (scene.shelve(), most(&scene)) else {
            return Ok(());
        };
        for view in views.iter().chain([&scene.view]) {
            if entry.freshness(view) == EntryFreshness::Fresh
                && let Some(expected) = view.expected(scene.class.context.commitment)
            {
                prop_assert!(entry.read_at.lag_behind(expected) < most, "{view:?} {entry:?}");
            }
        }
    }

    #[test]
    fn the_clock_never_lengthens_a_life(
        scene in any_scene(),
        views in prop::collection::vec(view_then(), 1..20),
    ) {
        let (Some((_, entry)), Some(most)) = (scene.shelve(), most(&scene)) else {
            return Ok(());
        };
        // What had passed already when the answer came is not given back, whatever is said later.
        let expected = scene.view.expected(scene.class.context.commitment);
        let lag = expected.map_or(0, |expected| entry.read_at.lag_behind(expected));
        for view in &views {
            if entry.freshness(view) == EntryFreshness::Fresh {
                prop_assert!(view.now.0 < scene.view.now.0 + most - lag, "{view:?} {entry:?}");
            }
        }
    }

    #[test]
    fn a_life_that_is_over_stays_over_while_the_slots_go_on(
        scene in any_scene(),
        from in 0_u64..300,
        on in 0_u64..300,
    ) {
        let Some((_, entry)) = scene.shelve() else { return Ok(()) };
        let begun = entry.read_at <= later(from).now;
        if begun && let EntryFreshness::Stale(past) = entry.freshness(&later(from)) {
            let then = entry.freshness(&later(from + on));
            prop_assert!(
                matches!(then, EntryFreshness::Permanent)
                    || matches!(then, EntryFreshness::Stale(now) if now >= past),
                "{past} {then:?}"
            );
        }
    }

    #[test]
    fn nothing_is_for_good_before_the_slot_it_is_about_is_final(
        scene in any_scene(),
        views in prop::collection::vec(view_then(), 1..20),
    ) {
        let Some((scope, entry)) = scene.shelve() else { return Ok(()) };
        let settled = |view: &SlotView| entry.freshness(view) == EntryFreshness::Permanent;
        match scene.keep {
            Retention::Pinned { about, .. } => {
                prop_assert_eq!(scope == KeyScope::Permanent, scene.view.is_final(about));
                for view in views.iter().filter(|_| scope != KeyScope::Permanent) {
                    prop_assert_eq!(settled(view), view.is_final(about));
                }
            }
            Retention::Rooted { about, .. } => {
                let then = scene.view.is_final(about) && about <= entry.read_at;
                prop_assert_eq!(scope == KeyScope::Permanent, then);
                prop_assert!(views.iter().all(|view| settled(view) == then));
            }
            Retention::Forever => {}
            _ => prop_assert!(!views.iter().any(settled)),
        }
    }

    #[test]
    fn what_holds_for_an_epoch_is_never_given_in_the_next(
        scene in any_scene(),
        slots in 0_u32..200,
        views in prop::collection::vec(view_then(), 1..20),
    ) {
        let scene = Scene { keep: Retention::Epoch { slots }, ..scene };
        let Some((_, entry)) = scene.shelve() else { return Ok(()) };
        let (Some(first), Some(last)) = (scene.view.epoch_start, scene.view.epoch_end) else {
            return Ok(());
        };
        if !(first..=last).contains(&entry.read_at) || !(first..=last).contains(&scene.view.now) {
            return Ok(());
        }
        for view in &views {
            if entry.freshness(view) == EntryFreshness::Fresh {
                prop_assert!(view.now <= last);
                let expected = view.expected(scene.class.context.commitment);
                prop_assert!(expected.is_none_or(|expected| expected <= last));
            }
        }
    }

    #[test]
    fn a_rule_only_shortens_unless_it_is_above_what_is_usual(
        scene in any_scene(),
        slots in 0_u32..300,
        views in prop::collection::vec(view_then(), 1..20),
    ) {
        let usual = Scene { policy: CachePolicy::new(&config::Cache::default()), ..scene };
        let before = usual.shelve();
        let after = usual.rule(slots);
        let longer = after.policy.rules.values().any(|rule| matches!(rule, MethodLifetime::Longer(_)));
        let Some((_, short)) = after.shelve() else { return Ok(()) };
        if longer {
            return Ok(());
        }
        let long = before.expect("a rule keeps nothing that is not kept without it").1;
        for view in &views {
            let (short, long) = (short.freshness(view), long.freshness(view));
            prop_assert!(rank(short) >= rank(long), "{short:?} instead of {long:?}");
        }
    }
}
