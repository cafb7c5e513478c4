//! Methods that an upstream refuses, rests from, or lacks the capability for.

use super::*;

#[test]
fn a_resting_method_goes_elsewhere_and_other_methods_stay() {
    let scene = Scene::of("ap");
    scene.fault('a', "getBlock", rest(Scope::Method));
    assert_eq!(scene.order("getBlock"), "p");
    assert_eq!(scene.order("getBalance"), "ap");
    scene.fault('a', "getBalance", rest(Scope::Upstream));
    assert_eq!(scene.order("getSlot"), "p");
    scene.good('a', 0);
    assert_eq!(scene.order("getSlot"), "ap");
}

#[test]
fn nobody_is_asked_before_the_time_it_named_and_the_shortest_wait_is_told() {
    let mut scene = Scene::of("ap");
    scene.now = Instant::now();
    scene.fault('a', "getBalance", rest(Scope::Method));
    scene.fault('p', "getBalance", rest(Scope::Upstream));
    assert_eq!(scene.order("getBalance"), "");
    let wait = paused(&scene, "getBalance").limited.unwrap();
    assert!((29..=31).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(scene.order("getSlot"), "a", "other methods go on");
    assert_eq!(
        paused(&scene, "getTokenSupply").limited.map(|_| ()),
        Some(())
    );
    scene.now += Duration::from_secs(31);
    for id in ['a', 'p'] {
        scene.probe(id, 1100);
    }
    assert_eq!(scene.order("getBalance"), "ap");
    assert_eq!(paused(&scene, "getBalance"), Paused::default());
}

#[tokio::test(start_paused = true)]
async fn a_guess_is_probed_by_one_call_where_nobody_else_can_serve() {
    let mut scene = Scene::of("ap");
    // Until the pause is one of about four seconds.
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(3)).await;
        scene.fault('a', "getBalance", guess(Scope::Method));
    }
    assert_eq!(scene.order("getBalance"), "p", "with another no need");
    scene.fault('p', "getBalance", rest(Scope::Method));
    scene.now = Instant::now();
    assert_eq!(scene.order("getBalance"), "");
    let base = Duration::from_secs(1);
    assert_eq!(paused(&scene, "getBalance").limited, Some(base));
    scene.now += base;
    assert_eq!(scene.order("getBalance"), "a!");
    assert_eq!(scene.order("getBalance"), "", "one a second");
}

#[test]
fn who_does_not_serve_a_method_does_not_stand_in_for_one_that_rests() {
    let scene = Scene::of("ap");
    scene.fault('a', "getLargestAccounts", Penalty::CloseMethod);
    scene.fault('p', "getBalance", rest(Scope::Upstream));
    assert_eq!(scene.order("getLargestAccounts"), "");
    assert!(paused(&scene, "getLargestAccounts").limited.is_some());
    scene.fault('p', "getLargestAccounts", Penalty::CloseMethod);
    assert_eq!(scene.order("getLargestAccounts"), "a!");
    assert_eq!(paused(&scene, "getLargestAccounts"), Paused::default());
}

#[test]
fn a_refused_key_is_told_from_a_rate_limit() {
    let scene = Scene::of("ap");
    scene.fault('a', "getBalance", refused_key(Scope::Upstream));
    scene.fault('p', "getBalance", refused_key(Scope::Method));
    assert_eq!(scene.order("getBalance"), "");
    let all = paused(&scene, "getBalance");
    assert!(all.key_refused && all.limited.is_none());
    assert_eq!(scene.order("getSlot"), "p");
}

#[test]
fn rate_limits_never_open_the_breaker() {
    let scene = Scene::of("a");
    for _ in 0..50 {
        scene.fault('a', "getBalance", rest(Scope::Upstream));
        scene.fault('a', "getBalance", Penalty::None);
        scene.fault('a', "getBalance", Penalty::CloseMethod);
    }
    let breaker = scene.upstream('a').state().breaker.lock().shown();
    assert_eq!(breaker, perijove_core::BreakerState::Closed);
}

#[test]
fn a_closed_method_is_remembered_and_served_by_its_refuser_as_a_last_resort() {
    let scene = Scene::of("ap");
    scene.fault('a', "getLargestAccounts", Penalty::CloseMethod);
    assert_eq!(scene.order("getLargestAccounts"), "p");
    scene.fault('p', "getLargestAccounts", Penalty::CloseMethod);
    assert_eq!(scene.order("getLargestAccounts"), "a!");
}

#[test]
fn a_lacking_capability_is_learned_and_can_be_insisted_on() {
    let scene = Scene::with("ap", |settings| {
        if settings.id == "p" {
            settings.capabilities = Some(vec![Capability::History, Capability::Archive]);
        }
    });
    let class = classify("getTransaction", None);
    let requirements = CallRequirements::of(&class, "getTransaction");
    let archive = CallRequirements {
        only: Some(Capability::Archive),
        ..requirements
    };
    assert_eq!(scene.order_for(archive), "p");
    scene.fault('a', "getTransaction", Penalty::Lacks(Capability::History));
    assert_eq!(scene.order("getTransaction"), "p");
    scene.fault('p', "getTransaction", Penalty::Lacks(Capability::Archive));
    assert_eq!(scene.order_for(archive), "");
}

#[test]
fn a_state_counts_the_methods_that_are_refused_beside_the_one_it_names() {
    let scene = Scene::of("ap");
    scene.fault('a', "getBlock", rest(Scope::Method));
    let told = || scene.pool.status().upstreams.swap_remove(0);
    assert_eq!(told().state, "refuses getBlock");
    for method in ["getBalance", "getSlot"] {
        scene.fault('a', method, rest(Scope::Method));
    }
    let told = told();
    assert!(told.state.ends_with(" and 2 more"), "{}", told.state);
    let cause = told.cause.unwrap();
    assert!(cause.ends_with(" and 2 more"), "{cause}");
}
