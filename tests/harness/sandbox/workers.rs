//! What a validator can execute at once, while a fault bounds it.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// So many workers, which take calls in the order in which they arrive.
#[derive(Debug)]
pub struct Workers {
    free: Semaphore,
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
        }
    }

    /// Waits for a worker and occupies it for this long.
    pub(super) async fn work(&self, time: Duration) {
        // Nobody closes it.
        let _worker = self.free.acquire().await;
        sleep(time).await;
    }
}
