//! Waiting for a condition, with a bound. Tests never sleep for a fixed time and hope.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a condition may take to become true before the test fails. Far more than any should
/// need: only a test that fails waits for so long, and a machine may be very busy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again and again until `found` gives something.
///
/// # Panics
/// If it gives nothing within [`PATIENCE`].
pub async fn until<T, F>(what: &str, found: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    until_within(PATIENCE, what, found).await
}

/// The same with another bound, for what is slow on a busy machine.
///
/// # Panics
/// If it gives nothing in time.
pub async fn until_within<T, F>(patience: Duration, what: &str, mut found: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some(thing) = found().await {
            return thing;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        sleep(Duration::from_millis(15)).await;
    }
}

/// Asks again and again until the condition holds.
///
/// # Panics
/// If it does not within [`PATIENCE`].
pub async fn eventually(what: &str, condition: impl FnMut() -> bool) {
    eventually_within(PATIENCE, what, condition).await;
}

/// The same with another bound.
///
/// # Panics
/// If it does not in time.
pub async fn eventually_within(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) {
    until_within(patience, what, || {
        std::future::ready(condition().then_some(()))
    })
    .await;
}
