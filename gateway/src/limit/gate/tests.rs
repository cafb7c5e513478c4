use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::*;

/// Longer than any call of these tests waits.
const PATIENCE: Duration = Duration::from_mins(1);

fn ask(priority: Priority) -> PermitRequest {
    PermitRequest::own(priority)
}

fn of(priority: Priority, consumer: u64) -> PermitRequest {
    PermitRequest {
        consumer,
        ..ask(priority)
    }
}

fn heavy(priority: Priority) -> PermitRequest {
    PermitRequest {
        heavy: true,
        ..ask(priority)
    }
}

/// Asks, and is in the queue or has its place when this returns.
async fn wait(gate: &Arc<Gate>, ask: PermitRequest) -> JoinHandle<Option<GatePermit>> {
    let gate = Arc::clone(gate);
    let waits = tokio::spawn(async move { gate.place(ask, PATIENCE).await });
    tokio::task::yield_now().await;
    waits
}

fn all(gate: &Arc<Gate>, ask: PermitRequest) -> Vec<GatePermit> {
    std::iter::from_fn(|| gate.try_place(ask)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_place_goes_to_the_highest_class_that_waits() {
    let gate = Gate::new(1, 10);
    let held = gate.place(ask(Priority::Medium), PATIENCE).await.unwrap();
    let mut waiting = Vec::new();
    for priority in CLASSES {
        waiting.push((priority, wait(&gate, ask(priority)).await));
    }
    drop(held);
    for (priority, waits) in waiting.into_iter().rev() {
        let place = waits.await.unwrap();
        assert!(place.is_some(), "{priority:?}");
    }
    assert_eq!((gate.used(), gate.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_each_class_uses_and_waits_for_is_told() {
    let gate = Gate::new(1, 10);
    let place = gate.try_place(heavy(Priority::Low)).unwrap();
    let waits = wait(&gate, ask(Priority::High)).await;
    let told = || {
        gate.by_class()
            .map(|one| (one.class, one.in_use, one.waiting))
            .into_iter()
            .filter(|(_, in_use, waiting)| in_use + waiting > 0)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(), [("low", 1, 0), ("high", 0, 1)]);
    drop(place);
    let _place = waits.await.unwrap();
    assert_eq!(told(), [("high", 1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn lower_classes_leave_places_for_those_above() {
    let gate = Gate::new(20, 0);
    let background = all(&gate, ask(Priority::Background));
    let low = all(&gate, ask(Priority::Low));
    let medium = all(&gate, ask(Priority::Medium));
    let high = all(&gate, ask(Priority::High));
    let critical = all(&gate, ask(Priority::Critical));
    let numbers = [&background, &low, &medium, &high, &critical].map(Vec::len);
    assert_eq!(numbers, [10, 5, 3, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn heavy_calls_leave_half_of_the_places_to_light_ones() {
    let gate = Gate::new(10, 10);
    let scans = all(&gate, heavy(Priority::Medium));
    assert_eq!(scans.len(), 5);
    let scan = wait(&gate, heavy(Priority::Medium)).await;
    assert!(gate.try_place(ask(Priority::Medium)).is_some());
    assert!(gate.place(ask(Priority::Medium), PATIENCE).await.is_some());
    assert_eq!(gate.waiting(), 1);
    drop(scans);
    assert!(scan.await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn consumers_of_a_class_take_turns() {
    let gate = Gate::new(1, 100);
    let mut held = gate.try_place(ask(Priority::Medium));
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push((1, wait(&gate, of(Priority::Medium, 1)).await));
    }
    for _ in 0..3 {
        waiting.push((2, wait(&gate, of(Priority::Medium, 2)).await));
    }
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(held.take());
        tokio::task::yield_now().await;
        let next = waiting.iter().position(|(_, waits)| waits.is_finished());
        let (consumer, waits) = waiting.remove(next.unwrap());
        held = waits.await.unwrap();
        order.push(consumer);
    }
    assert_eq!(order[..6], [1, 2, 1, 2, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nobody_starves_below_a_flood_of_a_higher_class() {
    let gate = Gate::new(1, 100);
    let mut held = gate.try_place(ask(Priority::Critical));
    let poor = wait(&gate, ask(Priority::Background)).await;
    let mut flood: VecDeque<_> = VecDeque::new();
    for _ in 0..3 {
        flood.push_back(wait(&gate, ask(Priority::Critical)).await);
    }
    let mut turns = 0;
    while !poor.is_finished() {
        tokio::time::advance(Duration::from_millis(200)).await;
        drop(held.take());
        tokio::task::yield_now().await;
        if let Some(next) = flood.iter().position(JoinHandle::is_finished) {
            held = flood.remove(next).unwrap().await.unwrap();
            flood.push_back(wait(&gate, ask(Priority::Critical)).await);
        }
        turns += 1;
        assert!(turns < 20, "it starves");
    }
    // Not before it was old.
    assert!(turns > 5, "{turns}");
}

#[tokio::test(start_paused = true)]
async fn where_too_many_wait_the_lowest_are_turned_away_but_one_of_each_class() {
    let gate = Gate::new(1, 3);
    let held = gate.try_place(ask(Priority::Medium));
    let background = wait(&gate, ask(Priority::Background)).await;
    let second = wait(&gate, ask(Priority::Background)).await;
    let low = wait(&gate, ask(Priority::Low)).await;
    // Nobody below it waits.
    let refused = gate.place(ask(Priority::Background), PATIENCE).await;
    assert!(refused.is_none());
    let first_high = wait(&gate, ask(Priority::High)).await;
    let second_high = wait(&gate, ask(Priority::High)).await;
    assert!(!second.is_finished(), "one of each waits beside the three");
    let third_high = wait(&gate, ask(Priority::High)).await;
    assert!(second.await.unwrap().is_none());
    assert!(gate.place(ask(Priority::High), PATIENCE).await.is_none());
    assert!(
        wait(&gate, ask(Priority::Low))
            .await
            .await
            .unwrap()
            .is_none()
    );
    drop(held);
    for waits in [first_high, second_high, third_high, low, background] {
        assert!(waits.await.unwrap().is_some());
    }
    assert!(Gate::new(1, 0).try_place(ask(Priority::Low)).is_some());
}

#[tokio::test(start_paused = true)]
async fn where_nobody_may_wait_nobody_does() {
    let gate = Gate::new(1, 0);
    let _held = gate.try_place(ask(Priority::Critical));
    for priority in CLASSES {
        assert!(gate.place(ask(priority), PATIENCE).await.is_none());
    }
}

/// Callers that ask again and again, as long as each may wait for a place, and hold it for 100 ms.
/// Returns how many were served of each class in twenty seconds.
async fn served(
    gate: &Arc<Gate>,
    callers: &[(Priority, usize)],
    patience: Duration,
) -> [usize; CLASSES.len()] {
    let until = Instant::now() + Duration::from_secs(20);
    let mut calls: Vec<(Priority, JoinHandle<usize>)> = Vec::new();
    for (priority, number) in callers {
        for caller in 0..*number {
            let (gate, ask) = (Arc::clone(gate), of(*priority, caller as u64));
            let call = tokio::spawn(async move {
                let mut served = 0;
                while Instant::now() < until {
                    let place = tokio::time::timeout(patience, gate.place(ask, patience));
                    let place = place.await.ok().flatten();
                    let pause = if place.is_some() { 100 } else { 50 };
                    served += usize::from(place.is_some());
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                served
            });
            calls.push((*priority, call));
        }
    }
    let mut served = [0; CLASSES.len()];
    for (priority, call) in calls {
        served[priority as usize] += call.await.unwrap();
    }
    served
}

#[tokio::test(start_paused = true)]
async fn no_class_starves_however_short_calls_may_wait_and_however_many_there_are() {
    let defaults = crate::config::Limits::default();
    for patience in [defaults.calls_queue, Duration::from_millis(150)] {
        for critical in [30, 300] {
            for most_waiting in [defaults.calls_waiting, 16] {
                let gate = Gate::new(8, most_waiting);
                let callers = [
                    (Priority::Critical, critical),
                    (Priority::Medium, 100),
                    (Priority::Background, 2),
                ];
                let served = served(&gate, &callers, patience).await;
                let case = format!("{served:?} of {critical}, {most_waiting}, {patience:?}");
                // Eight places for 100 ms each serve 1600 in twenty seconds.
                assert!(served[Priority::Critical as usize] > 1_150, "{case}");
                for class in [Priority::Medium, Priority::Background] {
                    assert!(served[class as usize] >= 20, "{case}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_queue_gets_and_holds_no_place() {
    let gate = Gate::new(1, 10);
    let held = gate.try_place(ask(Priority::Medium));
    let gone = wait(&gate, ask(Priority::Critical)).await;
    let stays = wait(&gate, ask(Priority::Low)).await;
    gone.abort();
    drop(gone.await);
    assert_eq!(gate.waiting(), 1);
    drop(held);
    drop(stays.await.unwrap().unwrap());
    assert_eq!((gate.used(), gate.waiting()), (0, 0));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_asked_and_dropped_no_place_is_lost_or_given_twice(
        places in 1_usize..8,
        deeds in proptest::collection::vec((0_u8..3, 0_usize..5, 0_u64..3, proptest::bool::ANY), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new(places, 6);
            let mut calls: Vec<JoinHandle<Option<GatePermit>>> = Vec::new();
            let mut held: Vec<GatePermit> = Vec::new();
            for (deed, class, consumer, heavy) in deeds {
                match deed {
                    0 => {
                        let ask = PermitRequest { priority: CLASSES[class], consumer, weight: 1, heavy };
                        calls.push(wait(&gate, ask).await);
                    }
                    1 if !held.is_empty() => drop(held.swap_remove(class % held.len())),
                    2 if !calls.is_empty() => calls.swap_remove(class % calls.len()).abort(),
                    _ => {}
                }
                tokio::task::yield_now().await;
                let (ready, waiting): (Vec<_>, Vec<_>) =
                    calls.drain(..).partition(JoinHandle::is_finished);
                calls = waiting;
                for call in ready {
                    held.extend(call.await.ok().flatten());
                }
                assert!(held.len() <= places && gate.used() == held.len());
                assert_eq!(gate.waiting(), calls.len());
                assert!(calls.is_empty() || !held.is_empty());
            }
            held.clear();
            let mut rounds = 0;
            while !calls.is_empty() {
                tokio::task::yield_now().await;
                let (ready, waiting): (Vec<_>, Vec<_>) =
                    calls.drain(..).partition(JoinHandle::is_finished);
                calls = waiting;
                for call in ready {
                    drop(call.await);
                }
                rounds += 1;
                assert!(rounds < 1000, "somebody waits for ever");
            }
            assert_eq!((gate.used(), gate.waiting()), (0, 0));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_grows_serves_who_waits_and_one_that_shrinks_takes_nothing_away() {
    let gate = Gate::new(1, 10);
    let held = gate.place(ask(Priority::Critical), PATIENCE).await.unwrap();
    let second = wait(&gate, ask(Priority::Critical)).await;
    let third = wait(&gate, ask(Priority::Critical)).await;
    gate.resize(2, 10);
    let second = second.await.unwrap().unwrap();
    assert_eq!((gate.used(), gate.waiting()), (2, 1));
    gate.resize(1, 10);
    drop(held);
    tokio::task::yield_now().await;
    assert_eq!((gate.used(), gate.waiting()), (1, 1), "one place, in use");
    drop(second);
    assert!(third.await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn whose_plan_has_more_weight_has_more_turns_and_takes_none_of_who_waits_alone() {
    let gate = Gate::new(1, 1000);
    let mut held = gate.place(ask(Priority::Critical), PATIENCE).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        for (consumer, weight) in [(1, 1), (2, 3)] {
            let ask = PermitRequest {
                weight,
                ..of(Priority::Medium, consumer)
            };
            waiting.push((consumer, wait(&gate, ask).await));
        }
    }
    let mut served = [0, 0];
    for _ in 0..100 {
        drop(held);
        tokio::task::yield_now().await;
        let at = waiting.iter().position(|(_, waits)| waits.is_finished());
        let (consumer, place) = waiting.swap_remove(at.unwrap());
        served[usize::from(consumer == 2)] += 1;
        held = place.await.unwrap().unwrap();
    }
    assert_eq!(served, [25, 75]);
}
