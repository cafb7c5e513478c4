use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, timeout};

use super::*;

fn key(number: u8) -> Key {
    Key::from_bytes([number; 16])
}

impl<T> Flights<T> {
    fn under_way(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn lead(&self, number: u8) -> Lead<T> {
        match self.join(key(number)) {
            Role::Lead(lead) => lead,
            Role::Follow(_) => panic!("somebody else leads"),
        }
    }

    fn follow(&self, number: u8) -> Follow<T> {
        match self.join(key(number)) {
            Role::Follow(follow) => follow,
            Role::Lead(_) => panic!("nobody leads"),
        }
    }
}

#[test]
fn the_first_leads_and_the_others_are_told_what_it_was_told() {
    let flights = Flights::default();
    let lead = flights.lead(1);
    let followers = [flights.follow(1), flights.follow(1)];
    let other = flights.lead(2);
    lead.settle("answer");
    for follower in followers {
        assert_eq!(block_on(follower.wait()), Told::Settled("answer"));
    }
    assert_eq!(flights.under_way(), 1);
    other.settle("another");
    assert_eq!(flights.under_way(), 0);
}

#[test]
fn a_leader_knows_whether_it_is_followed() {
    let flights = Flights::<()>::default();
    let lead = flights.lead(1);
    assert!(!lead.is_followed());
    let follower = flights.follow(1);
    assert!(lead.is_followed());
    drop(follower);
    assert!(!lead.is_followed());
}

#[test]
fn who_comes_after_the_end_leads_a_call_of_its_own() {
    let flights = Flights::default();
    let lead = flights.lead(1);
    let follower = flights.follow(1);
    lead.settle(1);
    flights.lead(1).settle(2);
    assert_eq!(block_on(follower.wait()), Told::Settled(1));
}

#[test]
fn a_call_that_began_too_long_ago_is_not_followed_and_goes_on_for_those_who_follow_it() {
    let begins = |flights: &Flights<&'static str>, now| match flights.join_within(key(1), now, 2) {
        Role::Lead(lead) => lead,
        Role::Follow(_) => panic!("somebody else leads"),
    };
    let joins = |flights: &Flights<&'static str>, now| match flights.join_within(key(1), now, 2) {
        Role::Follow(follow) => follow,
        Role::Lead(_) => panic!("nobody leads"),
    };
    for old_ends_first in [true, false] {
        let flights = Flights::default();
        let old = begins(&flights, Slot(10));
        let at_once = joins(&flights, Slot(10));
        let in_time = joins(&flights, Slot(11));
        let new = begins(&flights, Slot(12));
        assert!(old.is_followed() && !new.is_followed());
        // The clock may have gone back a little.
        let late = [joins(&flights, Slot(13)), joins(&flights, Slot(11))];
        assert!(new.is_followed());
        if old_ends_first {
            old.settle("old");
            assert_eq!(flights.under_way(), 1);
            new.settle("new");
        } else {
            new.settle("new");
            assert_eq!(flights.under_way(), 0);
            old.settle("old");
        }
        assert_eq!(flights.under_way(), 0);
        for follow in [at_once, in_time] {
            assert_eq!(block_on(follow.wait()), Told::Settled("old"));
        }
        for follow in late {
            assert_eq!(block_on(follow.wait()), Told::Settled("new"));
        }
    }
}

#[test]
fn one_whose_place_was_taken_hands_over_to_the_one_who_took_it() {
    let flights = Flights::<u8>::default();
    let old = flights.lead(1);
    let follower = flights.follow(1);
    let Role::Lead(new) = flights.join_within(key(1), Slot(9), 1) else {
        panic!("the old one began too long ago")
    };
    drop(old);
    assert_eq!(block_on(follower.wait()), Told::HandedOver);
    let again = flights.follow(1);
    new.settle(5);
    assert_eq!(block_on(again.wait()), Told::Settled(5));
}

#[test]
fn a_dropped_leader_hands_over_to_exactly_one_follower() {
    let flights = Flights::<u8>::default();
    let lead = flights.lead(1);
    let followers = [flights.follow(1), flights.follow(1), flights.follow(1)];
    drop(lead);
    assert_eq!(flights.under_way(), 0);
    let told = followers.map(|follower| block_on(follower.wait()));
    assert_eq!(told, [Told::HandedOver, Told::HandedOver, Told::HandedOver]);
    let again = [(); 3].map(|()| flights.join(key(1)));
    let leads = again.iter().filter(|role| matches!(role, Role::Lead(_)));
    assert_eq!(leads.count(), 1);
    drop(again);
    assert_eq!(flights.under_way(), 0);
}

#[test]
fn a_leader_that_panics_hands_over() {
    let flights = Flights::<u8>::default();
    let lead = flights.lead(1);
    let follower = flights.follow(1);
    let panicked = thread::scope(|scope| {
        let led = scope.spawn(move || {
            let _leading = lead;
            panic!("as it is meant to");
        });
        led.join().is_err()
    });
    assert!(panicked);
    assert_eq!(block_on(follower.wait()), Told::HandedOver);
}

#[test]
fn a_follower_that_goes_disturbs_neither_the_leader_nor_the_others() {
    let flights = Flights::default();
    let lead = flights.lead(1);
    let stays = flights.follow(1);
    drop(flights.follow(1));
    let mut waiting = Box::pin(flights.follow(1).wait());
    assert_eq!(waiting.as_mut().now_or_never(), None);
    drop(waiting);
    lead.settle(5);
    assert_eq!(block_on(stays.wait()), Told::Settled(5));
}

#[test]
fn what_nobody_waits_for_is_not_kept() {
    let flights = Flights::default();
    let value = Arc::new(());
    let lead = flights.lead(1);
    let follower = flights.follow(1);
    drop(follower);
    lead.settle(Arc::clone(&value));
    assert_eq!(Arc::strong_count(&value), 1);
    let lead = flights.lead(1);
    let follower = flights.follow(1);
    lead.settle(Arc::clone(&value));
    drop(follower);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_for_as_long_as_the_call_takes() {
    let flights = Flights::default();
    let started = Instant::now();
    let lead = flights.lead(1);
    let calling = async {
        sleep(Duration::from_millis(250)).await;
        lead.settle("late");
    };
    let follower = flights.follow(1);
    let impatient = timeout(Duration::from_millis(100), flights.follow(1).wait());
    let ((), told, gone) = tokio::join!(calling, follower.wait(), impatient);
    assert_eq!(told, Told::Settled("late"));
    assert!(gone.is_err());
    assert_eq!(started.elapsed(), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_is_followed_by_one_that_finishes() {
    let flights = Flights::default();
    let calls = AtomicUsize::new(0);
    let client = || async {
        loop {
            match flights.join(key(1)) {
                Role::Lead(lead) => {
                    calls.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(100)).await;
                    lead.settle("answer");
                    return "answer";
                }
                Role::Follow(follow) => {
                    if let Told::Settled(answer) = follow.wait().await {
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
    assert_eq!(flights.under_way(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_who_join_one_leads_and_all_are_told() {
    const CALLERS: usize = 1000;
    let flights = Arc::new(Flights::default());
    let joined = Arc::new(Barrier::new(CALLERS));
    let callers = (0..CALLERS).map(|caller| {
        let (flights, joined) = (Arc::clone(&flights), Arc::clone(&joined));
        tokio::spawn(async move {
            let role = flights.join(key(1));
            joined.wait().await;
            match role {
                Role::Lead(lead) => {
                    lead.settle(caller);
                    (caller, true)
                }
                Role::Follow(follow) => match follow.wait().await {
                    Told::Settled(leader) => (leader, false),
                    Told::HandedOver => panic!("the leader settles"),
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
    assert_eq!(flights.under_way(), 0);
}

#[test]
fn nobody_waits_for_ever_however_joining_settling_and_leaving_meet() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 20_000;
    let flights = Flights::default();
    // Calls are numbered in their order: there is only one at a time.
    let begun = AtomicUsize::new(0);
    let ended = AtomicUsize::new(0);
    let act = |round: usize| {
        loop {
            let before = ended.load(Ordering::SeqCst);
            match flights.join(key(0)) {
                Role::Lead(lead) if round.is_multiple_of(3) => {
                    drop(lead);
                    return;
                }
                Role::Lead(lead) => {
                    let number = begun.fetch_add(1, Ordering::SeqCst);
                    lead.settle(number);
                    ended.fetch_max(number + 1, Ordering::SeqCst);
                    return;
                }
                Role::Follow(follow) if round.is_multiple_of(5) => {
                    drop(follow);
                    return;
                }
                Role::Follow(follow) => match block_on(follow.wait()) {
                    // The call was under way when this one came: none that had ended before.
                    Told::Settled(number) => {
                        assert!(number >= before, "{number} after {before}");
                        return;
                    }
                    Told::HandedOver => {}
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
    assert_eq!(flights.under_way(), 0);
    assert!(begun.load(Ordering::SeqCst) > 0);
}

#[test]
fn nobody_waits_for_ever_when_places_are_taken_either() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 10_000;
    let flights = Flights::default();
    let act = |round: u64| {
        // Of two slots at a time, so that calls are followed now and overtaken then.
        match flights.join_within(key(0), Slot(round / 2), 1) {
            Role::Lead(lead) if round.is_multiple_of(3) => drop(lead),
            Role::Lead(lead) => lead.settle(round),
            Role::Follow(follow) => drop(block_on(follow.wait())),
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..ROUNDS).for_each(act));
        }
    });
    assert_eq!(flights.under_way(), 0);
}
