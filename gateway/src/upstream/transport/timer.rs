//! One timer for all the steps of an attempt. It is created only when a step has to wait, and moved
//! when the next step has another limit: an attempt that is answered at once costs one registration
//! with the runtime instead of one per step.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs `step` until `until` at the latest; None if it is not done by then.
pub(in crate::upstream) async fn within<F: Future>(
    timer: &mut Pin<&mut Option<Sleep>>,
    until: Instant,
    step: F,
) -> Option<F::Output> {
    let mut step = pin!(step);
    poll_fn(|context| {
        if let Poll::Ready(output) = step.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if timer.is_none() {
            timer.set(Some(sleep_until(until)));
        }
        match timer.as_mut().as_pin_mut() {
            Some(mut sleep) => {
                if sleep.deadline() != until {
                    sleep.as_mut().reset(until);
                }
                sleep.poll(context).map(|()| None)
            }
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_step_has_its_own_limit() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timer = pin!(None);
        let step = sleep(Duration::from_secs(2));
        assert!(within(&mut timer, at(3), step).await.is_some());
        let step = sleep(Duration::from_secs(2));
        assert!(within(&mut timer, at(3), step).await.is_none());
        assert_eq!(Instant::now(), at(3));
        let step = sleep(Duration::from_secs(2));
        assert!(within(&mut timer, at(9), step).await.is_some());
        assert_eq!(Instant::now(), at(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_ready_wins_over_a_limit_that_has_passed() {
        let mut timer = pin!(None);
        let passed = Instant::now();
        assert_eq!(within(&mut timer, passed, async { 7 }).await, Some(7));
        assert!(timer.is_none());
    }
}
