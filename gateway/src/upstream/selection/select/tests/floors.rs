//! Calls that need a slot.

use super::*;

#[test]
fn an_upstream_that_has_not_reached_the_slot_comes_last() {
    let scene = Scene::of("ap");
    scene.probe('p', 1005);
    let class = classify("getBalance", None);
    let requirements = CallRequirements::of(&class, "getBalance");
    for (min_slot, floor, order) in [
        (None, None, "ap"),
        (Some(1000), None, "ap"),
        (Some(1003), None, "pa"),
        (None, Some(1003), "pa"),
        (Some(2000), Some(1), "ap"),
    ] {
        let requirements = CallRequirements {
            min_slot: min_slot.map(Slot),
            floor: floor.map(Slot),
            ..requirements
        };
        assert_eq!(
            scene.order_for(requirements),
            order,
            "{min_slot:?} {floor:?}"
        );
    }
}

#[test]
fn a_slot_is_reached_by_the_time_that_has_passed() {
    let mut scene = Scene::of("ap");
    scene.probe('p', 1010);
    scene.now += Duration::from_secs(10);
    let class = classify("getBalance", None);
    let at = |slot| CallRequirements {
        min_slot: Some(Slot(slot)),
        ..CallRequirements::of(&class, "getBalance")
    };
    assert_eq!(scene.order_for(at(1022)), "ap");
    assert_eq!(scene.order_for(at(1023)), "pa");
}

#[tokio::test(start_paused = true)]
async fn for_a_floor_a_fit_upstream_is_aimed_at_that_has_reached_it_or_nearly_so() {
    let class = classify("getBalance", None);
    for (floor, fit, expected) in [
        (None, true, Some("p")),
        (Some(1001), true, Some("p")),
        (Some(1010), true, Some("p")),
        // Slots are known late.
        (Some(1011), true, Some("p")),
        (Some(1012), true, None),
        (Some(1010), false, None),
    ] {
        let scene = Scene::of("ap");
        scene.probe('p', 1010);
        if !fit {
            let limits = &scene.upstream('p').member.policy.health;
            for _ in 0..limits.failures {
                let live = &scene.upstream('p').member.live;
                live.track(limits, scene.now, |tracker| tracker.failed(limits, "down"));
            }
        }
        let mut candidates = scene
            .pool
            .candidates(CallRequirements::of(&class, "getBalance"));
        // It has answered already.
        assert_eq!(candidates.next(scene.now).unwrap().upstream().id(), "a");
        let aimed = candidates.aim_at(floor.map(Slot), scene.now);
        let next = aimed.then(|| candidates.next(scene.now).unwrap());
        let next = next.as_ref().map(|next| next.upstream().id());
        assert_eq!(next, expected, "{floor:?} {fit}");
    }
}
