//! Which upstream is given for a call in every state that the others can be in.

mod floors;
mod refusers;
mod shares;

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

    fn with(ids: &str, change: impl Fn(&mut crate::config::UpstreamSettings)) -> Self {
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
        // Whom a coin decides for is the same in every run.
        fastrand::seed(20);
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
