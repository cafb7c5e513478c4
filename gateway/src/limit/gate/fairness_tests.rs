//! Nobody fills a class, and floods from below do not delay those above.

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::*;

/// Longer than any call of these tests waits.
const PATIENCE: Duration = Duration::from_mins(1);

fn of(consumer: u64) -> PermitRequest {
    PermitRequest {
        consumer,
        ..PermitRequest::own(Priority::Medium)
    }
}

/// Asks, and is in the queue, or refused, when this returns.
async fn wait(gate: &Arc<Gate>, ask: PermitRequest) -> JoinHandle<Option<GatePermit>> {
    let gate = Arc::clone(gate);
    let waits = tokio::spawn(async move { gate.place(ask, PATIENCE).await });
    tokio::task::yield_now().await;
    waits
}

/// How many of them still wait.
fn waiting(calls: &[JoinHandle<Option<GatePermit>>]) -> usize {
    calls.iter().filter(|call| !call.is_finished()).count()
}

async fn many(
    gate: &Arc<Gate>,
    ask: PermitRequest,
    count: usize,
) -> Vec<JoinHandle<Option<GatePermit>>> {
    let mut calls = Vec::new();
    for _ in 0..count {
        calls.push(wait(gate, ask).await);
    }
    tokio::task::yield_now().await;
    calls
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_fills_the_queue_makes_room_for_others_of_its_class() {
    let gate = Gate::new(1, 60);
    let _held = gate.try_place(of(0));
    let greedy = many(&gate, of(1), 100).await;
    assert_eq!(waiting(&greedy), 60);
    let second = many(&gate, of(2), 100).await;
    assert_eq!((waiting(&greedy), waiting(&second)), (30, 30));
    let third = many(&gate, of(3), 100).await;
    let shares = [&greedy, &second, &third].map(|calls| waiting(calls));
    assert_eq!(shares, [20, 20, 20]);
    // The earliest calls are those that stay.
    assert!(greedy.iter().take(20).all(|call| !call.is_finished()));
    assert_eq!(gate.waiting(), 60);
    // Whoever has its share gets no more by asking again.
    let more = many(&gate, of(2), 50).await;
    assert_eq!((waiting(&more), waiting(&third)), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn shares_of_the_queue_follow_weights_and_count_heavy_calls() {
    let gate = Gate::new(1, 40);
    let _held = gate.try_place(of(0));
    let heavy = PermitRequest {
        heavy: true,
        ..of(1)
    };
    let scans = many(&gate, heavy, 40).await;
    let important = PermitRequest { weight: 3, ..of(2) };
    let important = many(&gate, important, 80).await;
    assert_eq!((waiting(&scans), waiting(&important)), (10, 30));
    // Heavy calls of a consumer count together with its light ones.
    let light = many(&gate, of(1), 20).await;
    assert_eq!(waiting(&light), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_which_each_has_one_call_is_refused_once_the_queue_is_full() {
    let gate = Gate::new(1, 50);
    let _held = gate.try_place(of(0));
    let mut crowd = Vec::new();
    for consumer in 1..=80 {
        crowd.push(wait(&gate, of(consumer)).await);
    }
    tokio::task::yield_now().await;
    assert_eq!(waiting(&crowd), 50);
    assert!(crowd.iter().take(50).all(|call| !call.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn critical_calls_do_not_wait_beside_a_hundredfold_flood() {
    // Ten places and calls of 100 ms are 100 calls a second.
    let gate = Gate::new(10, 80);
    let lasts = Duration::from_millis(100);
    let begun = Instant::now();
    let mut flood = JoinSet::new();
    let mut critical = JoinSet::new();
    for tick in 0..20_000_u32 {
        let gate_of_flood = Arc::clone(&gate);
        flood.spawn(async move {
            let ask = PermitRequest::own(Priority::Background);
            let place = gate_of_flood.place(ask, Duration::from_secs(1)).await;
            sleep(if place.is_some() {
                lasts
            } else {
                Duration::ZERO
            })
            .await;
            place.is_some()
        });
        // 40 a second, which need four of the five places that the flood leaves.
        if tick % 250 == 0 {
            let gate = Arc::clone(&gate);
            critical.spawn(async move {
                let asked = Instant::now();
                let ask = PermitRequest::own(Priority::Critical);
                let place = gate.place(ask, Duration::from_secs(1)).await;
                let waited = asked.elapsed();
                sleep(lasts).await;
                place.map(|_| waited)
            });
        }
        sleep(Duration::from_micros(100)).await;
    }
    let offered = begun.elapsed();
    let waits = critical.join_all().await;
    assert!(waits.len() >= 80);
    for waited in waits {
        let at_once = lasts / 10;
        assert!(waited.is_some_and(|waited| waited <= at_once), "{waited:?}");
    }
    // Half of the places are for the rest, and are used.
    let served = flood.join_all().await.into_iter().filter(|served| *served);
    // In whole tenths of a second.
    let most = 5 * offered.as_millis() / lasts.as_millis();
    let served = served.count() as u128;
    assert!(10 * served > 8 * most, "{served} of {most}");
}
