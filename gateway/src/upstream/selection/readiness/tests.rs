//! What makes the gateway unready, and what does not.

use tokio::time::advance;

use super::*;
use crate::solana::{Blame, FaultKind, Penalty, Retry, Scope, Verdict, classify};
use crate::upstream::testing::{healthy, settings};
use crate::upstream::{AttemptOutcome, Pool};

fn two() -> Arc<Pool> {
    let ids = ["a", "b"];
    healthy(ids.map(|id| settings(id, "http://127.0.0.1:1/")).to_vec())
}

/// Both answer a call like this.
fn both(pool: &Pool, method: &str, penalty: Penalty) {
    for upstream in pool.upstreams() {
        one(upstream, method, penalty);
    }
}

fn one(upstream: &Upstream, method: &str, penalty: Penalty) {
    let verdict = Verdict {
        kind: FaultKind::NodeBehind,
        blame: Blame::Upstream,
        retry: Retry::Elsewhere,
        penalty,
    };
    let outcome = AttemptOutcome::Fault {
        class: &classify(method, None),
        method,
        verdict: &verdict,
        status: None,
    };
    upstream.member.record(&outcome, None);
}

fn good(upstream: &Upstream) {
    let outcome = AttemptOutcome::Good {
        class: &classify("getBalance", None),
        method: "getBalance",
        latency: Duration::ZERO,
        slot: None,
    };
    upstream.member.record(&outcome, None);
}

fn behind(slots: u64) -> Penalty {
    Penalty::Lagging { slots: Some(slots) }
}

fn limited(seconds: u64) -> Penalty {
    Penalty::HoldOff {
        scope: Scope::Upstream,
        at_least: Some(Duration::from_secs(seconds)),
        credits: false,
    }
}

#[tokio::test(start_paused = true)]
async fn who_refuses_every_call_as_behind_cannot_serve_and_says_how_far() {
    let pool = two();
    let [a, b] = pool.upstreams() else { panic!() };
    one(a, "getBalance", behind(42));
    one(b, "getBalance", behind(50));
    assert!(pool.can_serve(), "for a moment");
    assert_eq!(pool.health(), HealthReport::Behind(42));
    advance(Duration::from_secs(3)).await;
    assert!(!pool.can_serve());
    good(b);
    assert!(pool.can_serve(), "it serves, whatever it says");
    assert_eq!(pool.health(), HealthReport::Behind(42));
}

#[tokio::test(start_paused = true)]
async fn a_short_rate_limit_leaves_the_gateway_ready_and_a_long_one_does_not() {
    for (seconds, ready) in [(2, true), (60, false)] {
        let pool = two();
        both(&pool, "getBalance", limited(seconds));
        assert_eq!(pool.can_serve(), ready, "{seconds} s");
        let report = if ready {
            HealthReport::Ok
        } else {
            HealthReport::Unknown
        };
        assert_eq!(pool.health(), report, "{seconds} s");
    }
    let pool = two();
    one(&pool.upstreams()[0], "getBalance", limited(60));
    assert!(pool.can_serve(), "the other is not limited");
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_makes_it_unready_at_once() {
    let pool = two();
    let key = |scope| Penalty::KeyRefused {
        scope,
        at_least: Duration::from_secs(1),
    };
    both(&pool, "getBalance", key(Scope::Method));
    assert!(pool.can_serve(), "other methods are served");
    both(&pool, "getBalance", key(Scope::Upstream));
    assert!(!pool.can_serve());
}

#[tokio::test(start_paused = true)]
async fn methods_that_nobody_serves_make_it_unready_once_no_ordinary_one_is_left() {
    let pool = two();
    let ordinary = pool.upstreams()[0].member.policy.health.ready_for.clone();
    for method in &ordinary {
        assert!(pool.can_serve(), "before {method}");
        both(&pool, method, Penalty::CloseMethod);
    }
    assert!(!pool.can_serve());
}
