//! What each outcome changes, and what it must leave alone.

use super::*;
use crate::solana::{Retry, classify};
use crate::upstream::health::tracker::Health;
use crate::upstream::testing::{pool, settings};
use crate::upstream::{Pool, Upstream};

fn scene() -> Arc<Pool> {
    pool(vec![settings("a", "http://127.0.0.1:1/")])
}

fn fault(upstream: &Upstream, blame: Blame, penalty: Penalty) {
    let class = classify("getBlock", Some(b"[5]"));
    let verdict = Verdict {
        kind: FaultKind::ServerError,
        blame,
        retry: Retry::Elsewhere,
        penalty,
    };
    let outcome = AttemptOutcome::Fault {
        class: &class,
        method: "getBlock",
        verdict: &verdict,
        status: None,
    };
    upstream.member.record(&outcome, None);
}

fn good(upstream: &Upstream, slot: Option<u64>) {
    let class = classify("getBlock", Some(b"[5]"));
    let outcome = AttemptOutcome::Good {
        class: &class,
        method: "getBlock",
        latency: Duration::ZERO,
        slot: slot.map(Slot),
    };
    upstream.member.record(&outcome, None);
}

#[test]
fn only_failures_of_the_upstream_count_for_its_breaker() {
    for (blame, penalty, opens) in [
        (Blame::Upstream, Penalty::Failure, true),
        (Blame::Client, Penalty::None, false),
        (Blame::Cluster, Penalty::None, false),
        (Blame::Upstream, Penalty::None, false),
        (
            Blame::Upstream,
            Penalty::Lagging { slots: Some(200) },
            false,
        ),
        (Blame::Upstream, Penalty::CloseMethod, false),
        (
            Blame::Upstream,
            Penalty::KeyRefused {
                scope: Scope::Upstream,
                at_least: Duration::from_mins(1),
            },
            false,
        ),
        (Blame::Upstream, Penalty::Lacks(Capability::History), false),
    ] {
        let pool = scene();
        let upstream = &pool.upstreams()[0];
        for _ in 0..20 {
            fault(upstream, blame, penalty);
        }
        let shown = upstream.state().breaker.lock().shown();
        assert_eq!(shown == BreakerState::Open, opens, "{penalty:?}");
    }
}

#[test]
fn a_complaint_in_a_live_answer_takes_the_upstream_out_of_service() {
    let pool = scene();
    let upstream = &pool.upstreams()[0];
    let limits = &upstream.member.policy.health;
    upstream
        .state()
        .track(limits, Instant::now(), |tracker| tracker.succeeded(limits));
    assert_eq!(upstream.health(), Health::Healthy);
    fault(upstream, Blame::Upstream, Penalty::Lagging { slots: None });
    assert_eq!(upstream.health(), Health::Unwell);
}

#[test]
fn slots_of_live_answers_are_tracked_at_their_commitment() {
    let pool = scene();
    let upstream = &pool.upstreams()[0];
    good(upstream, None);
    assert_eq!(upstream.state().slot(Commitment::Processed), None);
    good(upstream, Some(70));
    good(upstream, Some(69));
    let live = upstream.state();
    assert_eq!(live.slot(Commitment::Finalized), Some(Slot(70)));
    assert_eq!(live.slot(Commitment::Processed), Some(Slot(70)), "implied");
    assert_eq!(live.stand().seen(Commitment::Processed), None);
    assert_eq!(live.freshness(Commitment::Finalized), 1);
}

#[test]
fn a_good_answer_clears_what_its_method_was_held_back_for() {
    let pool = scene();
    let upstream = &pool.upstreams()[0];
    let limits = &upstream.member.policy.health;
    upstream
        .state()
        .track(limits, Instant::now(), |tracker| tracker.succeeded(limits));
    for penalty in [
        Penalty::CloseMethod,
        Penalty::Lacks(Capability::History),
        Penalty::HoldOff {
            scope: Scope::Upstream,
            at_least: None,
            credits: true,
        },
    ] {
        fault(upstream, Blame::Upstream, penalty);
        assert!(!upstream.state().is_clear(), "{penalty:?}");
        good(upstream, None);
        assert!(upstream.state().is_clear(), "{penalty:?}");
    }
}

#[test]
fn outcomes_are_counted_by_their_name() {
    let pool = scene();
    let upstream = &pool.upstreams()[0];
    good(upstream, None);
    good(upstream, None);
    fault(upstream, Blame::Upstream, Penalty::Failure);
    let live = upstream.state();
    assert_eq!(live.metrics.good.get(), 2);
    assert_eq!(live.metrics.latency.get_sample_count(), 2);
}
