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
    assert!((scored.cost(0, 1) - clean).abs() < 10.0);

    scored.score.failed(scored.now, &settings());
    let after_failure = scored.cost(0, 1);
    scored.answers(2, 20);
    assert!(scored.cost(0, 1) < after_failure / 5.0);
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
