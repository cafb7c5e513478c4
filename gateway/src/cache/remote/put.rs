//! Writing an entry: in the background, or waiting for it where another gateway may need it at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::RedisCache;
use super::metrics::WriteOutcome;
use super::write_queue::PendingWrite;
use crate::cache::{CacheEntry, CacheKey, Lifetime};

/// After a write that came too late nobody waits for others for this long.
const LATE: Duration = Duration::from_secs(1);

impl RedisCache {
    /// Queues an entry to be written; it is valid for this long, permanent ones are kept longer.
    /// Never waits: if the queue is full, the oldest entries are dropped.
    pub fn put(&self, key: CacheKey, entry: &Arc<CacheEntry>, lives: Duration) {
        self.queue_write(key, entry, lives, None);
    }

    /// The same, and waits until it is written or given up, at most `cache.redis.deadline`. While Redis
    /// is not connected or does not write in time, nobody waits.
    pub async fn put_in_time(&self, key: CacheKey, entry: &Arc<CacheEntry>, lives: Duration) {
        let (done, written) = oneshot::channel();
        self.queue_write(key, entry, lives, Some(done));
        let is_late = self
            .writes_late
            .lock()
            .is_some_and(|until| Instant::now() < until);
        if is_late || self.live().is_none() {
            return;
        }
        if timeout(self.settings.deadline, written).await.is_err() {
            *self.writes_late.lock() = Some(Instant::now() + LATE);
        }
    }

    fn queue_write(
        &self,
        key: CacheKey,
        entry: &Arc<CacheEntry>,
        lives: Duration,
        done: Option<oneshot::Sender<()>>,
    ) {
        let lives = match entry.lifetime {
            Lifetime::Permanent => self.settings.settled_ttl,
            Lifetime::Until(_) | Lifetime::Pinned { .. } => lives.min(self.settings.settled_ttl),
        };
        if lives.is_zero() {
            return self.metrics.write(WriteOutcome::Expired);
        }
        let write = PendingWrite {
            key,
            entry: Arc::clone(entry),
            ends: Instant::now() + lives,
            done,
        };
        let crowded_out = self.queue.push(write);
        self.metrics.crowded_out(crowded_out);
        self.metrics.queued(&self.queue);
    }
}
