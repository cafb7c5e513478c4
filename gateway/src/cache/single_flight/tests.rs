use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, timeout};

use super::*;

fn key(number: u8) -> CacheKey {
    CacheKey::from_bytes([number; 16])
}

impl<T> SingleFlight<T> {
    fn under_way(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn lead(&self, number: u8) -> Leader<T> {
        match self.join(key(number)) {
            FlightRole::Lead(lead) => lead,
            FlightRole::Follow(_) => panic!("somebody else leads"),
        }
    }

    fn follow(&self, number: u8) -> Follower<T> {
        match self.join(key(number)) {
            FlightRole::Follow(follow) => follow,
            FlightRole::Lead(_) => panic!("nobody leads"),
        }
    }
}

#[test]
fn the_first_leads_and_the_others_are_told_what_it_was_told() {
    let single_flight = SingleFlight::default();
    let lead = single_flight.lead(1);
    let followers = [single_flight.follow(1), single_flight.follow(1)];
    let other = single_flight.lead(2);
    lead.settle("answer");
    for follower in followers {
        assert_eq!(
            block_on(follower.wait()),
            FollowerOutcome::Settled("answer")
        );
    }
    assert_eq!(single_flight.under_way(), 1);
    other.settle("another");
    assert_eq!(single_flight.under_way(), 0);
}

#[test]
fn a_leader_knows_whether_it_is_followed() {
    let single_flight = SingleFlight::<()>::default();
    let lead = single_flight.lead(1);
    assert!(!lead.is_followed());
    let follower = single_flight.follow(1);
    assert!(lead.is_followed());
    drop(follower);
    assert!(!lead.is_followed());
}

#[test]
fn who_comes_after_the_end_leads_a_call_of_its_own() {
    let single_flight = SingleFlight::default();
    let lead = single_flight.lead(1);
    let follower = single_flight.follow(1);
    lead.settle(1);
    single_flight.lead(1).settle(2);
    assert_eq!(block_on(follower.wait()), FollowerOutcome::Settled(1));
}

#[test]
fn a_call_that_began_too_long_ago_is_not_followed_and_goes_on_for_those_who_follow_it() {
    let begins = |single_flight: &SingleFlight<&'static str>, now| match single_flight.join_within(
        key(1),
        now,
        2,
    ) {
        FlightRole::Lead(lead) => lead,
        FlightRole::Follow(_) => panic!("somebody else leads"),
    };
    let joins = |single_flight: &SingleFlight<&'static str>, now| match single_flight.join_within(
        key(1),
        now,
        2,
    ) {
        FlightRole::Follow(follow) => follow,
        FlightRole::Lead(_) => panic!("nobody leads"),
    };
    for old_ends_first in [true, false] {
        let single_flight = SingleFlight::default();
        let old = begins(&single_flight, Slot(10));
        let at_once = joins(&single_flight, Slot(10));
        let in_time = joins(&single_flight, Slot(11));
        let new = begins(&single_flight, Slot(12));
        assert!(old.is_followed() && !new.is_followed());
        // The clock may have gone back a little.
        let late = [
            joins(&single_flight, Slot(13)),
            joins(&single_flight, Slot(11)),
        ];
        assert!(new.is_followed());
        if old_ends_first {
            old.settle("old");
            assert_eq!(single_flight.under_way(), 1);
            new.settle("new");
        } else {
            new.settle("new");
            assert_eq!(single_flight.under_way(), 0);
            old.settle("old");
        }
        assert_eq!(single_flight.under_way(), 0);
        for follow in [at_once, in_time] {
            assert_eq!(block_on(follow.wait()), FollowerOutcome::Settled("old"));
        }
        for follow in late {
            assert_eq!(block_on(follow.wait()), FollowerOutcome::Settled("new"));
        }
    }
}

#[test]
fn one_whose_place_was_taken_hands_over_to_the_one_who_took_it() {
    let single_flight = SingleFlight::<u8>::default();
    let old = single_flight.lead(1);
    let follower = single_flight.follow(1);
    let FlightRole::Lead(new) = single_flight.join_within(key(1), Slot(9), 1) else {
        panic!("the old one began too long ago")
    };
    drop(old);
    assert_eq!(block_on(follower.wait()), FollowerOutcome::HandedOver);
    let again = single_flight.follow(1);
    new.settle(5);
    assert_eq!(block_on(again.wait()), FollowerOutcome::Settled(5));
}

#[test]
fn a_dropped_leader_hands_over_to_exactly_one_follower() {
    let single_flight = SingleFlight::<u8>::default();
    let lead = single_flight.lead(1);
    let followers = [
        single_flight.follow(1),
        single_flight.follow(1),
        single_flight.follow(1),
    ];
    drop(lead);
    assert_eq!(single_flight.under_way(), 0);
    let told = followers.map(|follower| block_on(follower.wait()));
    assert_eq!(
        told,
        [
            FollowerOutcome::HandedOver,
            FollowerOutcome::HandedOver,
            FollowerOutcome::HandedOver
        ]
    );
    let again = [(); 3].map(|()| single_flight.join(key(1)));
    let leads = again
        .iter()
        .filter(|role| matches!(role, FlightRole::Lead(_)));
    assert_eq!(leads.count(), 1);
    drop(again);
    assert_eq!(single_flight.under_way(), 0);
}

#[test]
fn a_leader_that_panics_hands_over() {
    let single_flight = SingleFlight::<u8>::default();
    let lead = single_flight.lead(1);
    let follower = single_flight.follow(1);
    let panicked = thread::scope(|scope| {
        let led = scope.spawn(move || {
            let _leading = lead;
            panic!("as it is meant to");
        });
        led.join().is_err()
    });
    assert!(panicked);
    assert_eq!(block_on(follower.wait()), FollowerOutcome::HandedOver);
}

#[test]
fn a_follower_that_goes_disturbs_neither_the_leader_nor_the_others() {
    let single_flight = SingleFlight::default();
    let lead = single_flight.lead(1);
    let stays = single_flight.follow(1);
    drop(single_flight.follow(1));
    let mut waiting = Box::pin(single_flight.follow(1).wait());
    assert_eq!(waiting.as_mut().now_or_never(), None);
    drop(waiting);
    lead.settle(5);
    assert_eq!(block_on(stays.wait()), FollowerOutcome::Settled(5));
}

#[test]
fn what_nobody_waits_for_is_not_kept() {
    let single_flight = SingleFlight::default();
    let value = Arc::new(());
    let lead = single_flight.lead(1);
    let follower = single_flight.follow(1);
    drop(follower);
    lead.settle(Arc::clone(&value));
    assert_eq!(Arc::strong_count(&value), 1);
    let lead = single_flight.lead(1);
    let follower = single_flight.follow(1);
    lead.settle(Arc::clone(&value));
    drop(follower);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_for_as_long_as_the_call_takes() {
    let single_flight = SingleFlight::default();
    let started = Instant::now();
    let lead = single_flight.lead(1);
    let calling = async {
        sleep(Duration::from_millis(250)).await;
        lead.settle("late");
    };
    let follower = single_flight.follow(1);
    let impatient = timeout(Duration::from_millis(100), single_flight.follow(1).wait());
    let ((), told, gone) = tokio::join!(calling, follower.wait(), impatient);
    assert_eq!(told, FollowerOutcome::Settled("late"));
    assert!(gone.is_err());
    assert_eq!(started.elapsed(), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_is_followed_by_one_that_finishes() {
    let single_flight = SingleFlight::default();
    let calls = AtomicUsize::new(0);
    let client = || async {
        loop {
            match single_flight.join(key(1)) {
                FlightRole::Lead(lead) => {
                    calls.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(100)).await;
                    lead.settle("answer");
                    return "answer";
                }
                FlightRole::Follow(follow) => {
                    if let FollowerOutcome::Settled(answer) = follow.wait().await {
                        return answer;
                    }
                }
            }
        }
    };
    let started = Instant::now();
    let leaves = timeout(Duration::from_millis(50), client());
    let (left, second, third) = tokio::join!(leaves, client(), client());
    assert!(left.is_err());
    assert_eq!((second, third), ("answer", "answer"));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(started.elapsed(), Duration::from_millis(150));
    assert_eq!(single_flight.under_way(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_who_join_one_leads_and_all_are_told() {
    const CALLERS: usize = 1000;
    let single_flight = Arc::new(SingleFlight::default());
    let joined = Arc::new(Barrier::new(CALLERS));
    let callers = (0..CALLERS).map(|caller| {
        let (single_flight, joined) = (Arc::clone(&single_flight), Arc::clone(&joined));
        tokio::spawn(async move {
            let role = single_flight.join(key(1));
            joined.wait().await;
            match role {
                FlightRole::Lead(lead) => {
                    lead.settle(caller);
                    (caller, true)
                }
                FlightRole::Follow(follow) => match follow.wait().await {
                    FollowerOutcome::Settled(leader) => (leader, false),
                    FollowerOutcome::HandedOver => panic!("the leader settles"),
                },
            }
        })
    });
    let mut leaders = Vec::new();
    let mut told = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let (leader, leads) = caller.await.unwrap();
        told.push(leader);
        leaders.extend(leads.then_some(leader));
    }
    assert_eq!(leaders.len(), 1);
    assert_eq!(told, vec![leaders[0]; CALLERS]);
    assert_eq!(single_flight.under_way(), 0);
}

#[test]
fn nobody_waits_for_ever_however_joining_settling_and_leaving_meet() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 20_000;
    let single_flight = SingleFlight::default();
    // Calls are numbered in their order: there is only one at a time.
    let begun = AtomicUsize::new(0);
    let ended = AtomicUsize::new(0);
    let act = |round: usize| {
        loop {
            let before = ended.load(Ordering::SeqCst);
            match single_flight.join(key(0)) {
                FlightRole::Lead(lead) if round.is_multiple_of(3) => {
                    drop(lead);
                    return;
                }
                FlightRole::Lead(lead) => {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    lead.settle(number);
                    ended.fetch_max(number + 1, Ordering::SeqCst);
                    return;
                }
                FlightRole::Follow(follow) if round.is_multiple_of(5) => {
                    drop(follow);
                    return;
                }
                FlightRole::Follow(follow) => match block_on(follow.wait()) {
                    // The call was under way when this one came: none that had ended before.
                    FollowerOutcome::Settled(number) => {
                        assert!(number >= before, "{number} after {before}");
                        return;
                    }
                    FollowerOutcome::HandedOver => {}
                },
            }
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let act = &act;
            scope.spawn(move || (0..ROUNDS).for_each(|round| act(round + thread)));
        }
    });
    assert_eq!(single_flight.under_way(), 0);
    assert!(begun.load(Ordering::SeqCst) > 0);
}

#[test]
fn nobody_waits_for_ever_when_places_are_taken_either() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 10_000;
    let single_flight = SingleFlight::default();
    let act = |round: u64| {
        // Of two slots at a time, so that calls are followed now and overtaken then.
        match single_flight.join_within(key(0), Slot(round / 2), 1) {
            FlightRole::Lead(lead) if round.is_multiple_of(3) => drop(lead),
            FlightRole::Lead(lead) => lead.settle(round),
            FlightRole::Follow(follow) => drop(block_on(follow.wait())),
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..ROUNDS).for_each(act));
        }
    });
    assert_eq!(single_flight.under_way(), 0);
}
