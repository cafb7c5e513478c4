//! What makes an upstream dearer or cheaper.

use proptest::prelude::*;

use super::*;

fn settings() -> config::Selection {
    config::Selection::default()
}

struct Scored {
    score: Score,
    now: Instant,
}

impl Scored {
    fn answering_in(millis: u64) -> Self {
        let mut scored = Self::new();
        scored.answers(millis, 50);
        scored
    }

    fn new() -> Self {
        let now = Instant::now();
        Self {
            score: Score::new(now),
            now,
        }
    }

    fn answers(&mut self, millis: u64, times: u32) {
        for _ in 0..times {
            let latency = Duration::from_millis(millis);
            self.score.succeeded(latency, false, self.now, &settings());
        }
    }

    fn cost(&self, lag: u64, weight: u32) -> f32 {
        self.score.cost(false, lag, weight, self.now, &settings())
    }
}

#[test]
fn slower_busier_lagging_failing_and_lighter_upstreams_cost_more() {
    let fast = Scored::answering_in(2).cost(0, 1);
    assert!(Scored::answering_in(20).cost(0, 1) > fast);
    assert!(Scored::answering_in(2).cost(3, 1) > fast);

    let busy = Scored::answering_in(2);
    busy.score.begin();
    assert!(busy.cost(0, 1) > fast);
    assert!(busy.cost(0, 2) < busy.cost(0, 1));
    busy.score.end();
    assert!((busy.cost(0, 1) - fast).abs() < 1.0);

    let failing = Scored::answering_in(2);
    failing.score.failed(failing.now, &settings());
    assert!(failing.cost(0, 1) > fast * 10.0);
}

#[test]
fn it_rises_faster_than_it_falls() {
    let mut scored = Scored::answering_in(2);
    scored.answers(100, 4);
    let slow = scored.score.latency(false).unwrap();
    assert!(slow > Duration::from_millis(60), "{slow:?}");
    scored.answers(2, 4);
    assert!(scored.score.latency(false).unwrap() > slow / 2);
    scored.now += Duration::from_mins(1);
    scored.answers(2, 1);
    assert!(scored.score.latency(false).unwrap() < Duration::from_millis(3));
}

#[test]
fn failures_are_forgotten_with_time_and_with_success() {
    let mut scored = Scored::answering_in(2);
    let clean = scored.cost(0, 1);
    scored.score.failed(scored.now, &settings());
    scored.now += Duration::from_mins(2);
    scored.answers(2, 1);
    assert!((scored.cost(0, 1) - clean).abs() < 10.0);

    scored.score.failed(scored.now, &settings());
    let after_failure = scored.cost(0, 1);
    scored.answers(2, 20);
    assert!(scored.cost(0, 1) < after_failure / 5.0);
}

#[test]
fn five_seconds_after_its_last_failure_an_upstream_costs_what_it_did_before() {
    let mut scored = Scored::answering_in(2);
    let clean = scored.cost(0, 1);
    for _ in 0..5 {
        scored.score.failed(scored.now, &settings());
    }
    assert!(scored.cost(0, 1) > clean * 50.0);
    scored.now += Duration::from_secs(5);
    scored.answers(2, 1);
    assert!((scored.cost(0, 1) - clean).abs() < 10.0);
}

/// Probes come three at a time every 400 ms.
fn probes_for(scored: &mut Scored, millis: u64, latency: u64) {
    for _ in 0..millis / 400 {
        scored.now += Duration::from_millis(400);
        for _ in 0..3 {
            let latency = Duration::from_millis(latency);
            scored.score.probed(latency, scored.now, &settings());
        }
    }
}

#[test]
fn an_upstream_that_was_slow_altogether_is_as_good_as_before_within_five_seconds() {
    let mut scored = Scored::answering_in(2);
    let clean = scored.cost(0, 1);
    scored.answers(2_000, 20);
    probes_for(&mut scored, 4_000, 2_000);
    assert!(scored.cost(0, 1) > clean * 100.0);
    probes_for(&mut scored, 4_400, 2);
    assert!(scored.cost(0, 1) < clean * 1.25);
}

#[test]
fn quick_probes_say_nothing_for_an_upstream_whose_calls_alone_are_slow() {
    let mut scored = Scored::answering_in(2);
    let clean = scored.cost(0, 1);
    probes_for(&mut scored, 4_000, 2);
    scored.answers(2_000, 20);
    probes_for(&mut scored, 4_000, 2);
    assert!(scored.cost(0, 1) > clean * 10.0);
}

#[test]
fn a_slow_upstream_that_is_not_asked_at_all_is_tried_again_after_a_while() {
    let mut scored = Scored::answering_in(2);
    let clean = scored.cost(0, 1);
    scored.answers(500, 20);
    scored.now += Duration::from_secs(1);
    assert!(scored.cost(0, 1) > clean * 100.0);
    scored.now += Duration::from_secs(15);
    assert!(scored.cost(0, 1) < clean);
}

#[test]
fn heavy_calls_have_their_own_latency() {
    let scored = Scored::answering_in(2);
    let slow = Duration::from_secs(5);
    scored.score.succeeded(slow, true, scored.now, &settings());
    assert_eq!(scored.score.latency(true), Some(slow));
    assert!(scored.score.latency(false).unwrap() < Duration::from_millis(3));
}

proptest! {
    #[test]
    fn a_cost_is_always_a_positive_number(
        latencies in prop::collection::vec(0_u64..100_000, 0..50),
        failures in 0_u32..50,
        lag in any::<u64>(),
        weight in any::<u32>(),
        pauses in 0_u64..10_000_000_000,
    ) {
        let mut scored = Scored::new();
        for latency in latencies {
            scored.answers(latency, 1);
            scored.now += Duration::from_millis(pauses % 10_000);
        }
        for _ in 0..failures {
            scored.score.failed(scored.now, &settings());
        }
        scored.now += Duration::from_millis(pauses);
        let cost = scored.cost(lag, weight);
        prop_assert!(cost.is_finite() && cost >= 0.0, "{}", cost);
    }
}
