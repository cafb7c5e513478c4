//! Deletes answers that turned out to be wrong.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use perijove_core::redis as schema;
use redis::{Value, cmd};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::RedisCache;
use crate::cache::CacheKey;

/// Keys deleted at the same time: lookups use the same connections.
const PORTION: usize = 8;

/// Longer than a write that has left the queue can be in flight.
const UNDER_WAY: Duration = Duration::from_secs(3);

impl RedisCache {
    /// Deletes what is stored under these keys, in the background, as far as Redis can be reached.
    /// Queued writes under them are dropped.
    pub fn forget(self: &Arc<Self>, keys: Vec<CacheKey>) {
        let keys: HashSet<_> = keys.into_iter().collect();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if keys.is_empty() {
            return;
        }
        self.queue.forget(&keys);
        self.metrics.queued(&self.queue);
        let remote = Arc::clone(self);
        let keys: Vec<_> = keys.into_iter().collect();
        let task = runtime.spawn(async move {
            remote.delete(&keys).await;
            // Once more, for writes that were in flight.
            sleep(UNDER_WAY).await;
            remote.delete(&keys).await;
        });
        drop(task);
    }

    async fn delete(&self, keys: &[CacheKey]) {
        let mut failed = 0_usize;
        for portion in keys.chunks(PORTION) {
            let deleted = join_all(portion.iter().map(|key| async {
                let mut command = cmd("DEL");
                command.arg(schema::answer(key.to_bytes()));
                let counted = |value| matches!(value, Value::Int(_)).then_some(());
                self.ask(&command, counted).await
            }));
            failed += deleted.await.iter().filter(|one| one.is_err()).count();
        }
        if failed > 0 {
            tracing::warn!(failed, "shared cache deletions failed");
        }
    }
}
