//! How pauses grow, what bounds them and what clears them.

use proptest::prelude::*;

use super::method_memory::MOST_UNKNOWN;
use super::*;

const NEUTRAL: f64 = 0.5;

fn settings() -> config::HoldOffSettings {
    config::HoldOffSettings::default()
}

fn demand(at_least: Option<u64>) -> PauseDemand {
    PauseDemand {
        at_least: at_least.map(Duration::from_secs),
        cause: PauseCause::Limit,
    }
}

/// Until a call may be sent, if the upstream or the method rests.
fn next(hold_off: &HoldOff, method: &str, now: Instant) -> Option<Duration> {
    match hold_off.refusal(method, now, settings().base)? {
        RefusedSubject::Resting(rest) => Some(rest.next),
        RefusedSubject::RestingAndClosed | RefusedSubject::MethodClosed => None,
    }
}

#[test]
fn pauses_double_up_to_five_minutes_while_nothing_good_comes() {
    let mut now = Instant::now();
    let mut hold_off = HoldOff::default();
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let pause = hold_off.rest(demand(None), now, NEUTRAL, &settings()).pause;
        assert_eq!(pause, Duration::from_secs(expected));
        assert_eq!(hold_off.resting(now), Some(pause));
        now += pause;
        assert!(!hold_off.is_refused("getSlot", now));
    }
    hold_off.clear("getSlot", now + Duration::from_millis(1));
    let begun = hold_off.rest(demand(None), now, NEUTRAL, &settings());
    assert_eq!(begun.pause, Duration::from_secs(1));
}

#[test]
fn refusals_that_come_together_count_once() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    for _ in 0..20 {
        hold_off.rest(demand(None), now, NEUTRAL, &settings());
    }
    assert_eq!(hold_off.resting(now), Some(Duration::from_secs(1)));
}

#[test]
fn what_the_upstream_asks_for_is_the_least_and_the_maximum_is_the_most() {
    let now = Instant::now();
    for (asked, expected) in [(None, 1), (Some(0), 1), (Some(10), 10), (Some(86_400), 300)] {
        let mut hold_off = HoldOff::default();
        let begun = hold_off.rest(demand(asked), now, NEUTRAL, &settings());
        let expected = Duration::from_secs(expected);
        assert_eq!(begun.pause, expected, "asked for {asked:?}");
    }
}

#[test]
fn used_up_credits_rest_for_half_an_hour() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    let gone = PauseDemand {
        at_least: None,
        cause: PauseCause::Credits,
    };
    let pause = hold_off.rest(gone, now, NEUTRAL, &settings()).pause;
    assert_eq!(pause, Duration::from_mins(30));
    let later = now + Duration::from_mins(29);
    assert!(!hold_off.take_trial("getSlot", later, settings().base));
    hold_off.clear_guess(later, later);
    assert_eq!(
        next(&hold_off, "getSlot", later),
        Some(Duration::from_mins(1))
    );
}

#[test]
fn one_method_rests_while_the_others_go_on() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    hold_off.rest_method("getBlock", demand(Some(10)), now, NEUTRAL, &settings());
    assert_eq!(
        next(&hold_off, "getBlock", now),
        Some(Duration::from_secs(10))
    );
    assert!(!hold_off.is_refused("getSlot", now));
    hold_off.clear("getSlot", now + Duration::from_millis(1));
    assert!(hold_off.is_refused("getBlock", now));
    hold_off.clear("getBlock", now + Duration::from_millis(1));
    assert!(hold_off.is_clear(now));
}

#[test]
fn an_answer_to_a_call_from_before_the_refusal_clears_nothing() {
    let before = Instant::now();
    let now = before + Duration::from_millis(5);
    let mut hold_off = HoldOff::default();
    hold_off.rest(demand(None), now, NEUTRAL, &settings());
    hold_off.close_method("getBlock", now);
    hold_off.clear("getBlock", before);
    assert!(hold_off.resting(now).is_some());
    assert_eq!(hold_off.closed_methods(now), ["getBlock"]);
}

#[test]
fn a_closed_method_is_tried_again_after_ten_minutes() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    hold_off.close_method("getLargestAccounts", now);
    assert!(hold_off.is_refused("getLargestAccounts", now));
    assert_eq!(hold_off.closed_methods(now), ["getLargestAccounts"]);
    assert!(!hold_off.is_refused("getLargestAccounts", now + REFUSAL));
}

#[test]
fn a_lacking_capability_is_learned_and_unlearned() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    hold_off.learn_lack(Capability::History, now);
    assert!(hold_off.lacks(Capability::History, now));
    assert!(!hold_off.lacks(Capability::Archive, now));
    assert!(!hold_off.lacks(Capability::History, now + REFUSAL));
    hold_off.clear_lack(Capability::History);
    assert!(hold_off.is_clear(now));
}

#[test]
fn names_made_up_by_clients_do_not_fill_the_memory() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    for number in 0..10 * MOST_UNKNOWN {
        hold_off.close_method(&format!("getNothing{number}"), now);
    }
    hold_off.close_method(&"x".repeat(LONGEST_NAME + 1), now);
    assert_eq!(hold_off.methods.len(), MOST_UNKNOWN);
    hold_off.close_method("getSomething", now + REFUSAL);
    assert_eq!(hold_off.closed_methods(now + REFUSAL), ["getSomething"]);
    assert_eq!(hold_off.methods.len(), 1);
}

#[test]
fn names_made_up_by_clients_do_not_displace_real_methods() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    for number in 0..10 * MOST_UNKNOWN {
        hold_off.close_method(&format!("getNothing{number}"), now);
    }
    hold_off.close_method("getBlock", now);
    hold_off.rest_method("getBalance", demand(None), now, NEUTRAL, &settings());
    let closed = hold_off.closed_methods(now);
    assert!(closed.contains(&"getBlock".to_owned()));
    assert_eq!(
        next(&hold_off, "getBalance", now),
        Some(Duration::from_secs(1))
    );
}

#[test]
fn in_a_pause_that_is_our_own_guess_one_call_a_second_may_try() {
    let start = Instant::now();
    let mut hold_off = HoldOff::default();
    let base = settings().base;
    let mut now = start;
    // Refused often enough for a pause of 32 s.
    for _ in 0..6 {
        let pause = hold_off.rest(demand(None), now, NEUTRAL, &settings()).pause;
        now += pause;
    }
    now -= Duration::from_secs(31);
    assert_eq!(next(&hold_off, "getSlot", now), Some(Duration::ZERO));
    assert!(hold_off.take_trial("getSlot", now, base));
    assert!(!hold_off.take_trial("getSlot", now, base), "one for all");
    assert_eq!(next(&hold_off, "getSlot", now), Some(base));
    assert!(hold_off.take_trial("getSlot", now + base, base));
}

#[test]
fn a_wait_that_was_named_is_kept_to_its_end_by_calls_and_probes() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    hold_off.rest(demand(Some(30)), now, NEUTRAL, &settings());
    let late = now + Duration::from_secs(29);
    assert!(!hold_off.take_trial("getSlot", late, settings().base));
    hold_off.clear_guess(late, late);
    assert_eq!(
        next(&hold_off, "getSlot", late),
        Some(Duration::from_secs(1))
    );
    assert!(!hold_off.is_refused("getSlot", now + Duration::from_secs(30)));
}

#[test]
fn a_good_probe_ends_a_guess() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    hold_off.rest(demand(None), now, NEUTRAL, &settings());
    let soon = now + Duration::from_millis(10);
    hold_off.clear_guess(soon, soon);
    assert!(hold_off.is_clear(soon));
}

#[test]
fn a_refused_key_is_news_once_until_it_is_taken_again() {
    let mut now = Instant::now();
    let mut hold_off = HoldOff::default();
    let refused = PauseDemand {
        at_least: Some(Duration::from_mins(1)),
        cause: PauseCause::Key,
    };
    let begun = hold_off.rest(refused, now, NEUTRAL, &settings());
    assert!(begun.first && hold_off.refuses_key(now));
    now += begun.pause;
    assert!(!hold_off.rest(refused, now, NEUTRAL, &settings()).first);
    assert!(hold_off.clear("getSlot", now + Duration::from_millis(1)));
    assert!(hold_off.rest(refused, now, NEUTRAL, &settings()).first);
}

#[test]
fn a_refused_key_is_tried_again_every_few_seconds() {
    let mut now = Instant::now();
    let mut hold_off = HoldOff::default();
    let refused = PauseDemand {
        at_least: Some(Duration::from_secs(5)),
        cause: PauseCause::Key,
    };
    for expected in [5, 10, 15, 15, 15, 15, 15] {
        let begun = hold_off.rest_method("getSlot", refused, now, NEUTRAL, &settings());
        assert_eq!(begun.pause, Duration::from_secs(expected));
        assert!(hold_off.is_refused("getSlot", now));
        now += begun.pause;
        assert!(!hold_off.is_refused("getSlot", now));
    }
}

#[test]
fn a_reload_forgets_a_refused_key_and_used_up_credits_and_no_rate_limit() {
    let now = Instant::now();
    let mut hold_off = HoldOff::default();
    let refused = PauseDemand {
        at_least: Some(Duration::from_secs(5)),
        cause: PauseCause::Key,
    };
    hold_off.rest_method("getSlot", refused, now, NEUTRAL, &settings());
    hold_off.rest_method("getBlock", demand(Some(20)), now, NEUTRAL, &settings());
    assert!(hold_off.forget_refused_key());
    assert!(!hold_off.is_refused("getSlot", now));
    assert!(hold_off.is_refused("getBlock", now));
    hold_off.rest(refused, now, NEUTRAL, &settings());
    assert!(hold_off.refuses_key(now) && hold_off.forget_refused_key());
    assert!(!hold_off.refuses_key(now) && !hold_off.forget_refused_key());
    let spent = PauseDemand {
        at_least: None,
        cause: PauseCause::Credits,
    };
    hold_off.rest(spent, now, NEUTRAL, &settings());
    assert!(hold_off.resting(now).is_some() && hold_off.forget_refused_key());
    assert_eq!(hold_off.resting(now), None);
}

proptest! {
    #[test]
    fn a_pause_stays_within_its_jitter_and_its_bounds(
        asked in proptest::option::of(0_u32..1000),
        times in 1_u32..40,
        chance in 0.0_f64..1.0,
    ) {
        let mut now = Instant::now();
        let mut hold_off = HoldOff::default();
        for turn in 0..times {
            let demand = demand(asked.map(u64::from));
            let pause = hold_off.rest(demand, now, chance, &settings()).pause;
            let plain = 2_f64.powi(i32::try_from(turn.min(15)).unwrap()).min(300.0);
            let least = f64::from(asked.unwrap_or_default().min(300));
            prop_assert!(pause.as_secs_f64() >= least);
            prop_assert!(pause.as_secs_f64() >= (plain * 0.75).min(300.0) - 1e-6);
            prop_assert!(pause.as_secs_f64() <= (plain * 1.25).max(least).min(300.0) + 1e-6);
            now += pause;
        }
    }
}

#[test]
fn a_method_that_is_refused_is_held_until_it_is_served_or_forgotten() {
    let mut now = Instant::now();
    let mut hold_off = HoldOff::default();
    let refused = |question| RefusalKind {
        question,
        policy: false,
    };
    for question in 0..4 {
        hold_off.refused("getBlock", refused(question), now);
    }
    let held = |hold_off: &HoldOff, now| {
        let holds = hold_off.holds(now);
        holds.first().map(|hold| (hold.cause, hold.left.is_some()))
    };
    assert_eq!(held(&hold_off, now), Some((HoldCause::Refused, true)));
    now += FIRST_PAUSE;
    assert!(
        !hold_off.refuses("getBlock", || 9, now),
        "the next call tries it"
    );
    assert_eq!(held(&hold_off, now), Some((HoldCause::Refused, false)));
    let later = now + Duration::from_secs(1);
    hold_off.clear("getBlock", later);
    assert_eq!(held(&hold_off, later), None);
}
