//! What a validator can execute at once, while a fault bounds it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// So many workers, which take calls in the order in which they arrive.
#[derive(Debug)]
pub struct Workers {
    free: Semaphore,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
}

impl Default for Workers {
    fn default() -> Self {
        Self::new(Semaphore::MAX_PERMITS)
    }
}

impl Workers {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Semaphore::new(count),
            inside: AtomicUsize::new(0),
            most_inside: AtomicUsize::new(0),
        }
    }

    /// Waits for a worker and occupies it for this long.
    pub(super) async fn work(&self, time: Duration) {
        let _inside = Inside::enter(self);
        // Nobody closes it.
        let _worker = self.free.acquire().await;
        sleep(time).await;
    }

    /// The most calls that were in work or waited for it at once, since this was last asked.
    pub fn take_most_inside(&self) -> usize {
        let now = self.inside.load(Ordering::SeqCst);
        self.most_inside.swap(now, Ordering::SeqCst)
    }
}

/// A call in work, or waiting for it.
struct Inside<'a>(&'a Workers);

impl<'a> Inside<'a> {
    fn enter(workers: &'a Workers) -> Self {
        let inside = workers.inside.fetch_add(1, Ordering::SeqCst) + 1;
        workers.most_inside.fetch_max(inside, Ordering::SeqCst);
        Self(workers)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}
