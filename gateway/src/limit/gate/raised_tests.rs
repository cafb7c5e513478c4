//! Calls whose class is raised while they wait.

use tokio::task::JoinHandle;
use tokio::task::yield_now;

use super::*;
use crate::limit::Urgency;

/// Longer than any call of these tests waits.
const PATIENCE: Duration = Duration::from_mins(1);

fn ask(priority: Priority) -> PermitRequest {
    PermitRequest::own(priority)
}

/// Asks, and is in the queue when this returns.
async fn wait(
    gate: &Arc<Gate>,
    priority: Priority,
    urgency: &Arc<Urgency>,
) -> JoinHandle<Option<GatePermit>> {
    let (gate, urgency) = (Arc::clone(gate), Arc::clone(urgency));
    let waits = tokio::spawn(async move {
        let claim = PermitClaim::new(ask(priority), Some(&urgency));
        gate.place(claim, PATIENCE).await
    });
    yield_now().await;
    waits
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_raised_overtakes_those_of_the_classes_between() {
    let gate = Gate::new(1, 10);
    let held = gate.try_place(ask(Priority::Medium)).unwrap();
    let (urgency, calm) = (Arc::default(), Arc::default());
    let raised = wait(&gate, Priority::Background, &urgency).await;
    let medium = wait(&gate, Priority::Medium, &calm).await;
    urgency.raise(Priority::Critical);
    yield_now().await;
    assert_eq!(gate.by_class().map(|class| class.waiting), [0, 0, 1, 0, 1]);
    drop(held);
    let place = raised.await.unwrap().unwrap();
    assert_eq!(gate.by_class().map(|class| class.in_use), [0, 0, 0, 0, 1]);
    assert!(!medium.is_finished());
    drop(place);
    assert!(medium.await.unwrap().is_some());
    assert_eq!((gate.used(), gate.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_raised_is_not_turned_away_with_its_old_class() {
    // One may wait, and of each class one in any case.
    let gate = Gate::new(1, 1);
    let _held = gate.try_place(ask(Priority::Critical)).unwrap();
    let urgency = Arc::default();
    let first = wait(&gate, Priority::Background, &urgency).await;
    let calm = Arc::default();
    let second = wait(&gate, Priority::Background, &calm).await;
    assert!(second.await.unwrap().is_none(), "too many wait");
    urgency.raise(Priority::High);
    yield_now().await;
    assert_eq!(gate.by_class().map(|class| class.waiting), [0, 0, 0, 1, 0]);
    assert!(!first.is_finished());
}

#[tokio::test(start_paused = true)]
async fn whoever_was_raised_before_asking_asks_as_that() {
    let gate = Gate::new(2, 10);
    let _held = gate.try_place(ask(Priority::Background)).unwrap();
    assert!(gate.try_place(ask(Priority::Background)).is_none());
    let urgency = Urgency::default();
    urgency.raise(Priority::Critical);
    let claim = PermitClaim::new(ask(Priority::Background), Some(&urgency));
    let place = gate.place(claim, PATIENCE).await;
    assert!(place.is_some(), "the lower classes leave it one");
}
