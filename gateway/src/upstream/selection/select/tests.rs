//! Which upstream is given for a call in every state that the others can be in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::config::Tier;
use crate::solana::{FaultKind, Penalty, Scope, Verdict, classify};
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::testing::{pool, settings};
use crate::upstream::{AttemptOutcome, Pool};

/// A pool with its clock. Upstreams are written as letters; the tier is that of their case and
/// place: `a`, `b` are local, `p`, `q` paid, `x`, `y` public.
struct Scene {
    pool: Arc<Pool>,
    now: Instant,
}

impl Scene {
    fn of(ids: &str) -> Self {
        Self::with(ids, |_| {})
    }

    fn with(ids: &str, change: impl Fn(&mut crate::config::Upstream)) -> Self {
        let upstreams = ids.chars().map(|id| {
            let mut settings = settings(&id.to_string(), "http://127.0.0.1:1/");
            settings.tier = match id {
                'a'..='h' => Tier::Local,
                'p'..='s' => Tier::Paid,
                _ => Tier::Public,
            };
            change(&mut settings);
            settings
        });
        let scene = Self {
            pool: pool(upstreams.collect()),
            now: Instant::now(),
        };
        for id in ids.chars() {
            scene.probe(id, 1000);
        }
        scene
    }

    fn upstream(&self, id: char) -> &Arc<Upstream> {
        self.pool.upstream(&id.to_string()).unwrap()
    }

    /// A good probe that sees this slot at every commitment.
    fn probe(&self, id: char, slot: u64) {
        let member = &self.upstream(id).member;
        let limits = &member.policy.health;
        let look = SlotLook {
            source: SightingSource::Probe,
            slots: [Some(Slot(slot)); 3],
            started: self.now,
            at: self.now,
            vouched: false,
            outrun: false,
        };
        member.judge(&look, |tracker| tracker.succeeded(limits));
    }

    fn fault(&self, id: char, method: &str, penalty: Penalty) {
        let class = classify(method, None);
        let verdict = Verdict {
            penalty,
            ..Verdict::transport(FaultKind::Reset, &class, true)
        };
        let outcome = AttemptOutcome::Fault {
            class: &class,
            method,
            verdict: &verdict,
            status: None,
        };
        self.upstream(id).member.record(&outcome, None);
    }

    fn good(&self, id: char, millis: u64) {
        self.answered(id, Duration::from_millis(millis));
    }

    fn answered(&self, id: char, latency: Duration) {
        let class = classify("getBalance", None);
        let outcome = AttemptOutcome::Good {
            class: &class,
            method: "getBalance",
            latency,
            slot: None,
        };
        self.upstream(id).member.record(&outcome, None);
    }

    fn break_down(&self, id: char) {
        for _ in 0..5 {
            self.fault(id, "getBalance", Penalty::Failure);
        }
    }

    /// All upstreams given for a call, in order; forced ones with an exclamation mark.
    fn order(&self, method: &str) -> String {
        let class = classify(method, None);
        self.order_for(CallRequirements::of(&class, method))
    }

    fn order_for(&self, requirements: CallRequirements<'_>) -> String {
        let mut candidates = self.pool.candidates(requirements);
        let mut order = String::new();
        while let Some(candidate) = candidates.next(self.now) {
            order.push_str(candidate.upstream().id());
            if candidate.forced {
                order.push('!');
            }
        }
        order
    }

    /// How often each upstream comes first in a thousand calls.
    fn shares(&self) -> BTreeMap<String, u32> {
        let class = classify("getBalance", None);
        let mut shares = BTreeMap::new();
        for _ in 0..1000 {
            let mut candidates = self
                .pool
                .candidates(CallRequirements::of(&class, "getBalance"));
            let first = candidates.next(self.now).unwrap();
            *shares.entry(first.upstream().id().to_owned()).or_default() += 1;
        }
        shares
    }
}

fn paused(scene: &Scene, method: &str) -> Paused {
    let class = classify(method, None);
    scene
        .pool
        .candidates(CallRequirements::of(&class, method))
        .paused(scene.now)
}

fn guess(scope: Scope) -> Penalty {
    Penalty::HoldOff {
        scope,
        at_least: None,
        credits: false,
    }
}

fn refused_key(scope: Scope) -> Penalty {
    Penalty::KeyRefused {
        scope,
        at_least: Duration::from_mins(1),
    }
}

fn rest(scope: Scope) -> Penalty {
    Penalty::HoldOff {
        scope,
        at_least: Some(Duration::from_secs(30)),
        credits: false,
    }
}

#[test]
fn tiers_come_in_order_and_each_upstream_once() {
    assert_eq!(Scene::of("xpa").order("getBalance"), "apx");
}

#[test]
fn a_tier_without_a_fit_upstream_spills_into_the_next() {
    let scene = Scene::of("apx");
    scene.probe('a', 900);
    assert_eq!(scene.order("getBalance"), "pxa!");
    scene.break_down('p');
    assert_eq!(
        scene.order("getBalance"),
        "xa!p!",
        "the broken one is the last hope"
    );
}

#[test]
fn if_all_are_bad_the_least_bad_serves() {
    let scene = Scene::of("ab");
    scene.break_down('a');
    assert_eq!(scene.order("getBalance"), "ba!");
    scene.fault('b', "getBalance", rest(Scope::Upstream));
    assert_eq!(
        scene.order("getBalance"),
        "a!",
        "a rest that was asked for is kept"
    );
    let scene = Scene::of("a");
    scene.break_down('a');
    assert_eq!(scene.order("getBalance"), "a!");
}

#[test]
fn an_upstream_on_another_cluster_is_never_asked() {
    let scene = Scene::of("a");
    let member = &scene.upstream('a').member;
    member
        .live
        .track(&member.policy.health, scene.now, |tracker| {
            tracker.wrong_cluster(true);
        });
    assert_eq!(scene.order("getBalance"), "");
}

#[test]
fn allowed_and_denied_methods_are_absolute() {
    let scene = Scene::with("ab", |settings| match settings.id.as_str() {
        "a" => settings.allow = vec!["sendTransaction".into()],
        _ => settings.deny = vec!["sendTransaction".into(), "getBlock".into()],
    });
    assert_eq!(scene.order("sendTransaction"), "a");
    assert_eq!(scene.order("getBalance"), "b");
    assert_eq!(scene.order("getBlock"), "");
}

#[test]
fn an_unprobed_upstream_serves_only_if_no_probed_one_is_fit() {
    let scene = Scene::with("ax", |_| {});
    let fresh = pool(vec![settings("n", "http://127.0.0.1:1/")]);
    let class = classify("getBalance", None);
    let first = fresh
        .candidates(CallRequirements::of(&class, "getBalance"))
        .next(scene.now)
        .unwrap();
    assert!(!first.forced);
    assert!(!fresh.can_serve() && scene.pool.can_serve());
}

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
    assert_eq!(breaker, crate::upstream::BreakerState::Closed);
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
fn nothing_is_left_that_would_not_be_given() {
    let scene = Scene::of("ap");
    scene.fault('p', "getBalance", rest(Scope::Upstream));
    let class = classify("getBalance", None);
    let mut candidates = scene
        .pool
        .candidates(CallRequirements::of(&class, "getBalance"));
    assert_ne!(candidates.outlook(scene.now), Outlook::Nobody);
    let first = candidates.next(scene.now).unwrap();
    assert_eq!(first.upstream().id(), "a");
    assert_eq!(candidates.outlook(scene.now), Outlook::Nobody);
    assert!(candidates.next(scene.now).is_none());
}

#[test]
fn a_metered_upstream_beside_a_free_one_keeps_no_hedge_from_it() {
    let scene = Scene::with("abc", |settings| settings.metered = settings.id == "c");
    let class = classify("getBalance", None);
    for _ in 0..50 {
        let mut candidates = scene
            .pool
            .candidates(CallRequirements::of(&class, "getBalance"));
        candidates.next(scene.now).unwrap();
        assert!(candidates.any_hedge(scene.now, false));
        let hedge = candidates.next_hedge(scene.now, false).unwrap();
        assert!(!hedge.upstream().settings().metered);
    }
}

#[test]
fn a_hedge_goes_to_a_fit_upstream_that_does_not_charge_unless_it_must() {
    let scene = Scene::with("abp", |settings| settings.metered = settings.id == "p");
    let class = classify("getBalance", None);
    let mut candidates = scene
        .pool
        .candidates(CallRequirements::of(&class, "getBalance"));
    let first = candidates.next(scene.now).unwrap();
    let hedge = candidates.next_hedge(scene.now, false).unwrap();
    assert_ne!(first.upstream().id(), hedge.upstream().id());
    assert!(candidates.next_hedge(scene.now, false).is_none());
    assert!(
        candidates.next_hedge(scene.now, true).is_some(),
        "unless it must"
    );
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

#[test]
fn equals_share_the_calls_and_the_slow_get_few() {
    let scene = Scene::of("abc");
    for id in "abc".chars() {
        scene.good(id, 2);
    }
    let shares = scene.shares();
    for id in ["a", "b", "c"] {
        assert!((200..=470).contains(&shares[id]), "{shares:?}");
    }
    for _ in 0..20 {
        scene.good('c', 80);
    }
    assert_eq!(scene.shares().get("c"), None, "never the better of two");
}

#[test]
fn what_differs_by_noise_only_shares_the_calls() {
    let scene = Scene::of("ab");
    for _ in 0..20 {
        for (id, micros) in [('a', 300), ('b', 700)] {
            scene.answered(id, Duration::from_micros(micros));
        }
    }
    scene.probe('a', 1001);
    scene.probe('b', 1000);
    assert_eq!(scene.upstream('b').state().lag(), 1);
    let shares = scene.shares();
    for id in ["a", "b"] {
        assert!((350..=650).contains(&shares[id]), "{shares:?}");
    }
}

#[test]
fn a_lag_that_nobody_has_looked_at_again_is_forgotten() {
    let mut scene = Scene::of("pq");
    scene.good('p', 2);
    scene.good('q', 2);
    scene.probe('p', 1005);
    scene.probe('q', 1000);
    assert_eq!(scene.upstream('q').state().lag(), 5);
    assert_eq!(scene.shares().get("q"), None, "it is behind");
    scene.now += Duration::from_secs(15);
    assert!(scene.shares().contains_key("q"), "it may have caught up");
}

#[test]
fn equals_share_by_weight() {
    let scene = Scene::with("ab", |settings| {
        settings.weight = if settings.id == "a" { 3 } else { 1 };
    });
    scene.good('a', 2);
    scene.good('b', 2);
    let shares = scene.shares();
    assert!((680..=820).contains(&shares["a"]), "{shares:?}");
}

#[test]
fn calls_under_way_count() {
    let scene = Scene::of("ab");
    scene.good('a', 2);
    scene.good('b', 2);
    let busy: Vec<_> = (0..5)
        .map(|_| InFlightGuard::begin(scene.upstream('a').state()))
        .collect();
    assert_eq!(scene.shares().get("a"), None);
    drop(busy);
    assert!(scene.shares().contains_key("a"));
}

#[test]
fn after_its_pause_a_broken_upstream_gets_trial_calls_and_comes_back() {
    let mut scene = Scene::of("a");
    scene.break_down('a');
    scene.now += Duration::from_secs(61);
    scene.probe('a', 1100);
    let class = classify("getBalance", None);
    let requirements = CallRequirements::of(&class, "getBalance");
    let trials: Vec<_> = (0..3)
        .map(|_| scene.pool.candidates(requirements).next(scene.now).unwrap())
        .collect();
    assert!(
        trials
            .iter()
            .all(|trial| trial.trial.is_some() && !trial.forced)
    );
    assert_eq!(scene.order("getBalance"), "a!", "a fourth only by force");
    drop(trials);
    for _ in 0..2 {
        let mut trial = scene.pool.candidates(requirements).next(scene.now).unwrap();
        trial.record(&AttemptOutcome::Good {
            class: &class,
            method: "getBalance",
            latency: Duration::from_millis(2),
            slot: None,
        });
    }
    assert!(scene.upstream('a').state().is_clear());
    assert_eq!(scene.order("getBalance"), "a");
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

/// Twenty calls a second in virtual time, answered as late as `latency` says of their upstream and
/// their beginning, in milliseconds. Returns which upstream got each call, by its beginning.
async fn calls_for(
    scene: &mut Scene,
    millis: u64,
    latency: impl Fn(&str, u64) -> u64,
) -> Vec<(u64, String)> {
    let class = classify("getBalance", None);
    let (mut begun, mut answers) = (Vec::new(), BTreeMap::<u64, Vec<(char, u64)>>::new());
    for at in 0..millis {
        for (id, took) in answers.remove(&at).unwrap_or_default() {
            scene.good(id, took);
        }
        if at % 50 == 0 {
            scene.now = Instant::now();
            let requirements = CallRequirements::of(&class, "getBalance");
            let mut candidates = scene.pool.candidates(requirements);
            let id = candidates
                .next(scene.now)
                .unwrap()
                .upstream()
                .id()
                .to_owned();
            let took = latency(&id, at);
            let answered = answers.entry(at + took).or_default();
            answered.push((id.chars().next().unwrap(), took));
            begun.push((at, id));
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    begun
}

fn calls_of(begun: &[(u64, String)], id: &str, during: std::ops::Range<u64>) -> usize {
    let those = begun.iter().filter(|(at, _)| during.contains(at));
    those.filter(|(_, by)| by == id).count()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_was_slow_has_its_share_again_within_five_seconds() {
    const SICK: std::ops::Range<u64> = 3_000..23_000;
    for slow in [300, 1_000, 5_000] {
        let mut scene = Scene::of("pq");
        let begun = calls_for(&mut scene, 33_000, |id, at| match id {
            "p" if SICK.contains(&at) => slow,
            _ => 5,
        })
        .await;
        let tried = calls_of(&begun, "p", 13_000..23_000);
        assert!(tried <= 4, "{tried} calls of 200 while it takes {slow} ms");
        let share = calls_of(&begun, "p", 28_000..29_000);
        assert!(share >= 5, "{share} of 20 after {slow} ms");
        let share = calls_of(&begun, "p", 30_000..33_000);
        assert!(share >= 20, "{share} of 60 for good after {slow} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_slower_for_good_gets_a_trial_every_few_seconds() {
    let mut scene = Scene::of("pq");
    // Not always equally fast, as nothing is.
    let latency = |id: &str, at: u64| match id {
        "p" => 60 + (at / 50) % 7 * 5,
        _ => 20 + (at / 50) % 5 * 2,
    };
    let begun = calls_for(&mut scene, 60_000, latency).await;
    let tried = calls_of(&begun, "p", 10_000..60_000);
    assert!((8..=50).contains(&tried), "{tried} of 1000");
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_and_a_scan_are_no_trials() {
    let mut scene = Scene::of("pq");
    for (id, millis) in [('p', 900), ('q', 5)] {
        scene.good(id, millis);
        let outcome = AttemptOutcome::Good {
            class: &classify("getProgramAccounts", None),
            method: "getProgramAccounts",
            latency: Duration::from_millis(millis),
            slot: None,
        };
        scene.upstream(id).member.record(&outcome, None);
    }
    tokio::time::advance(Duration::from_millis(1_100)).await;
    scene.now = Instant::now();
    let first = |method: &str, again: bool| {
        let class = classify(method, None);
        let candidates = scene.pool.candidates(CallRequirements::of(&class, method));
        let mut candidates = if again {
            candidates.once_more()
        } else {
            candidates
        };
        let first = candidates.next(scene.now).unwrap();
        first.upstream().id().to_owned()
    };
    assert_eq!(first("getBalance", true), "q");
    assert_eq!(first("getProgramAccounts", false), "q");
    assert_eq!(first("getBalance", false), "p");
    assert_eq!(first("getBalance", false), "q", "one at a time");
}
