//! What each outcome changes, and what it must leave alone.

use perijove_core::{BreakerState, Commitment};

use super::*;
use crate::solana::{Capability, Retry, Scope, Verdict, classify};
use crate::upstream::health::tracker::Health;

use crate::upstream::testing::{healthy, pool, settings};
use crate::upstream::{CallRequirements, Choices, Pool, Upstream};

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
    assert_eq!(live.slot_feed.count(Commitment::Finalized), 1);
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

/// A streamed answer to the question of this number.
fn stream(upstream: &Upstream, question: u64) -> StreamOrigin {
    let mut stream = StreamOrigin::of(&upstream.member);
    let call = StreamedCall {
        class: classify("getBlock", Some(b"[5]")),
        method: "getBlock".into(),
        question,
        started: Instant::now(),
        latency: Duration::ZERO,
        trial: None,
    };
    stream.began(call, None);
    stream
}

/// Whether calls of `getBlock` go to the first of two upstreams.
fn is_asked_first(pool: &Pool) -> bool {
    let class = classify("getBlock", Some(b"[99]"));
    let requirements = CallRequirements::of(&class, "getBlock");
    let first = pool.candidates(requirements).next(Instant::now());
    first.is_some_and(|first| first.upstream().id() == "a")
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_breaks_off_its_large_answers_is_left_for_their_method() {
    let mut other = settings("b", "http://127.0.0.1:1/");
    other.tier = config::Tier::Paid;
    let pool = healthy(vec![settings("a", "http://127.0.0.1:1/"), other]);
    let upstream = &pool.upstreams()[0];
    for question in 0..4 {
        assert!(is_asked_first(&pool));
        // Good beginnings and small answers of the method say nothing about the ends of large ones.
        good(upstream, None);
        stream(upstream, question).broke_off(FaultKind::Truncated);
        good(upstream, None);
    }
    assert!(!is_asked_first(&pool));
    let class = classify("getSlot", None);
    let mut others = pool.candidates(CallRequirements::of(&class, "getSlot"));
    let first = others.next(Instant::now()).unwrap();
    assert_eq!(first.upstream().id(), "a", "other methods stay");
    let status = pool.status();
    let shown = &status.upstreams[0];
    assert_eq!(shown.state, "breaks off getBlock");
    assert!(
        shown.cause.as_ref().unwrap().contains("getBlock"),
        "{shown:?}"
    );
    let error = shown.last_error.as_ref().unwrap();
    assert_eq!((&*error.method, error.fault), ("getBlock", "truncated"));
    assert_eq!(shown.holds[0].cause, "answers-broken-off");
    // After the pause one call tries, and others wait for what becomes of it.
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(is_asked_first(&pool));
    assert!(!is_asked_first(&pool));
    stream(upstream, 9).ended_well();
    assert!(is_asked_first(&pool));
    assert_eq!(pool.status().upstreams[0].state, "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_once_it_is_over_and_not_at_all_if_its_client_leaves() {
    let pool = healthy(vec![settings("a", "http://127.0.0.1:1/")]);
    let upstream = &pool.upstreams()[0];
    let live = upstream.state();
    let begun = stream(upstream, 1);
    assert_eq!((live.metrics.good.get(), live.score.in_flight()), (0, 1));
    begun.ended_well();
    assert_eq!((live.metrics.good.get(), live.score.in_flight()), (1, 0));
    for _ in 0..20 {
        drop(stream(upstream, 1));
    }
    assert!(upstream.breaker_is_closed() && live.is_clear());
    for _ in 0..5 {
        stream(upstream, 1).broke_off(FaultKind::Reset);
    }
    assert!(!upstream.breaker_is_closed(), "five in a row");
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
