//! What opens, half-opens and closes the breaker, as tables and as properties.

use proptest::prelude::*;

use super::*;

fn settings() -> config::BreakerSettings {
    config::BreakerSettings::default()
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..settings().failures {
        breaker.failure(None, now, &settings());
    }
    assert_eq!(breaker.shown(), BreakerState::Open);
    breaker
}

#[test]
fn the_fifth_failure_in_a_row_opens_it_and_a_success_starts_the_count_again() {
    let now = Instant::now();
    let mut breaker = Breaker::default();
    for _ in 0..4 {
        breaker.failure(None, now, &settings());
    }
    breaker.success(None, now, &settings());
    for _ in 0..4 {
        breaker.failure(None, now, &settings());
        assert_eq!(breaker.shown(), BreakerState::Closed);
    }
    breaker.failure(None, now, &settings());
    assert_eq!(breaker.admission(now, &settings()), Admission::Refused);
}

#[test]
fn more_than_half_of_ten_calls_within_ten_seconds_open_it() {
    // (good, failed) in turn, seconds between two calls, whether it must be open at the end.
    let cases = [
        (4, 6, 0, true),
        (5, 5, 0, false),
        (3, 4, 0, false),
        (4, 6, 2, false),
    ];
    for (good, failed, pause, open) in cases {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        let calls: Vec<bool> = (0..good)
            .map(|_| true)
            .chain((0..failed).map(|_| false))
            .collect();
        // Spread, so that no five failures follow each other.
        for turn in 0..calls.len() {
            let index = (turn * 7 + 3) % calls.len();
            let fine = calls[if calls.len() == 7 {
                turn * 2 % 7
            } else {
                index
            }];
            if fine {
                breaker.success(None, now, &settings());
            } else {
                breaker.failure(None, now, &settings());
            }
            now = after(now, pause);
        }
        let is_open = breaker.shown() == BreakerState::Open;
        assert_eq!(
            is_open, open,
            "{good} good, {failed} failed, {pause} s apart"
        );
    }
}

#[test]
fn after_the_pause_at_most_three_trials_run_and_two_good_ones_close_it() {
    let start = Instant::now();
    let mut breaker = opened(start);
    assert_eq!(breaker.begin_trial(after(start, 59), &settings()), None);

    let now = after(start, 60);
    let trials: Vec<_> = (0..3)
        .map(|_| breaker.begin_trial(now, &settings()).unwrap())
        .collect();
    assert_eq!(breaker.begin_trial(now, &settings()), None);
    assert_eq!(breaker.shown(), BreakerState::HalfOpen);

    breaker.success(Some(trials[0]), now, &settings());
    assert_eq!(breaker.shown(), BreakerState::HalfOpen);
    breaker.success(Some(trials[1]), now, &settings());
    assert_eq!(breaker.admission(now, &settings()), Admission::Free);
}

#[test]
fn each_failed_trial_doubles_the_pause_up_to_eight_times() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    for minutes in [1, 2, 4, 8, 8] {
        let pause = Duration::from_secs(60 * minutes);
        assert_eq!(breaker.open_for(now), Some(pause));
        now += pause;
        let trial = breaker.begin_trial(now, &settings());
        breaker.failure(trial, now, &settings());
    }
}

#[test]
fn an_abandoned_trial_makes_room_for_another() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let now = after(start, 60);
    for _ in 0..10 {
        let trial = breaker.begin_trial(now, &settings()).unwrap();
        breaker.abandon(trial);
    }
    assert_eq!(breaker.admission(now, &settings()), Admission::Trial);
}

#[test]
fn results_of_calls_from_before_the_opening_say_nothing() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let now = after(start, 60);
    let first = breaker.begin_trial(now, &settings()).unwrap();
    breaker.success(None, now, &settings());
    breaker.success(None, now, &settings());
    breaker.failure(None, now, &settings());
    assert_eq!(breaker.shown(), BreakerState::HalfOpen);

    breaker.failure(Some(first), now, &settings());
    let now = after(now, 120);
    let second = breaker.begin_trial(now, &settings()).unwrap();
    breaker.failure(Some(first), now, &settings());
    assert_eq!(breaker.shown(), BreakerState::HalfOpen, "a late result");
    assert_ne!(first, second);
}

#[test]
fn a_good_probe_lets_trial_calls_through_a_second_after_the_opening_and_closes_nothing() {
    let start = Instant::now();
    let mut breaker = opened(start);
    assert!(
        !breaker.probed(start - Duration::from_millis(1), start),
        "it began before"
    );
    assert_eq!(breaker.open_for(start), Some(Duration::from_mins(1)));
    assert!(breaker.probed(start, start));
    assert_eq!(breaker.open_for(start), Some(Duration::from_secs(1)));
    let now = after(start, 10);
    assert_eq!(breaker.shown(), BreakerState::Open);
    assert_eq!(breaker.admission(now, &settings()), Admission::Trial);
    for _ in 0..2 {
        let trial = breaker.begin_trial(now, &settings());
        breaker.success(trial, now, &settings());
    }
    assert_eq!(breaker.shown(), BreakerState::Closed);
}

/// Seconds at which calls get through in so many seconds while a probe is good in each of them.
/// `good` says which of a period's trial calls are.
fn trials(seconds: u64, good: impl Fn(u32) -> bool) -> Vec<u64> {
    let start = Instant::now();
    let mut breaker = opened(start);
    let mut at = Vec::new();
    for second in 0..seconds {
        let now = after(start, second);
        breaker.probed(now, now);
        let mut number = 0;
        while breaker.admission(now, &settings()) != Admission::Refused && number < 50 {
            let trial = breaker.begin_trial(now, &settings());
            if good(number) {
                breaker.success(trial, now, &settings());
            } else {
                breaker.failure(trial, now, &settings());
            }
            number += 1;
        }
        if number > 0 {
            at.push(second);
        }
    }
    at
}

#[test]
fn where_probes_are_good_and_calls_fail_each_trial_doubles_the_pause() {
    assert_eq!(trials(600, |_| false), [1, 3, 7, 15, 31, 63, 127, 255, 511]);
}

#[test]
fn being_closed_for_a_moment_does_not_make_the_pauses_short_again() {
    // Two good trial calls close it, the next five open it again.
    assert_eq!(
        trials(600, |number| number < 2),
        [1, 3, 7, 15, 31, 63, 127, 255, 511]
    );
}

#[test]
fn having_been_closed_for_long_it_begins_with_the_shortest_pause() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let now = after(start, 60);
    for _ in 0..2 {
        let trial = breaker.begin_trial(now, &settings());
        breaker.success(trial, now, &settings());
    }
    let now = after(now, 60);
    for _ in 0..settings().failures {
        breaker.failure(None, now, &settings());
    }
    assert_eq!(breaker.open_for(now), Some(Duration::from_mins(1)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Good,
    Failed,
    Abandoned,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Good),
        3 => Just(Step::Failed),
        1 => Just(Step::Abandoned),
        2 => (0_u64..90).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens, no more than the allowed trials run, an open breaker lets nothing
    /// through, and it can always be closed again.
    #[test]
    fn it_never_lets_too_much_through_and_never_locks_up(steps in proptest::collection::vec(step(), 0..200)) {
        let settings = settings();
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        let mut running = Vec::new();
        for step in steps {
            let trial = match breaker.admission(now, &settings) {
                Admission::Free => None,
                Admission::Trial => {
                    let trial = breaker.begin_trial(now, &settings);
                    prop_assert!(trial.is_some());
                    trial
                }
                Admission::Refused => {
                    prop_assert!(breaker.begin_trial(now, &settings).is_none());
                    None
                }
            };
            running.extend(trial);
            if let BreakerInner::HalfOpen { running, .. } = &breaker.state {
                prop_assert!(*running <= settings.trials);
            }
            match step {
                Step::Good => breaker.success(running.pop(), now, &settings),
                Step::Failed => breaker.failure(running.pop(), now, &settings),
                Step::Abandoned => running.drain(..).for_each(|trial| breaker.abandon(trial)),
                Step::Wait(seconds) => now = after(now, seconds),
            }
        }
        running.drain(..).for_each(|trial| breaker.abandon(trial));
        now = after(now, 3600);
        for _ in 0..settings.successes {
            let trial = breaker.begin_trial(now, &settings);
            breaker.success(trial, now, &settings);
        }
        prop_assert_eq!(breaker.shown(), BreakerState::Closed);
    }
}
