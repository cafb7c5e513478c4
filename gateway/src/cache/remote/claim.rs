//! Gateways that would make the same call at the same time: one says that it does, the others wait
//! a little for its answer. Optional; whatever goes wrong here, a call is made twice and no more.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use perijove_core::redis as schema;
use redis::{Value, cmd, from_redis_value};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::RedisCache;
use super::failure::RedisOperation;
use super::metrics::Claiming;
use crate::cache::CacheKey;

/// How often it is looked whether an answer has come.
const LOOK: Duration = Duration::from_millis(10);

/// Slots beyond which no claim lasts; numbers in Redis' scripts are doubles.
const LONG: u64 = 1_000_000_000;

/// What became of a claim.
pub enum Claimed {
    /// Nobody else is fetching the answer: the caller is, from now on.
    Mine(Claim),
    /// Another gateway is.
    Taken(Awaited),
    /// Waiting is off, or Redis does not say.
    Unknown,
}

/// The right to fetch an answer that other gateways wait for. Dropped, the others go on by
/// themselves.
pub struct Claim {
    name: String,
    value: String,
    remote: Option<Arc<RedisCache>>,
}

impl Claim {
    /// The answer is on its way into Redis. Those who look for it until it is there find the claim;
    /// it runs out by itself.
    pub fn kept(mut self) {
        self.remote = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (Some(remote), Ok(runtime)) = (self.remote.take(), Handle::try_current()) else {
            return;
        };
        let mut release = cmd("EVAL");
        release
            .arg(schema::RELEASE)
            .arg(1)
            .arg(&self.name)
            .arg(&self.value);
        drop(runtime.spawn(async move {
            if let Err(failure) = remote.ask(&release, Some).await {
                // It runs out by itself.
                remote.metrics.failure(RedisOperation::Claim, failure);
            }
        }));
    }
}

/// An answer that another gateway fetches.
pub struct Awaited {
    name: String,
    due: Instant,
    until: Instant,
    ended: bool,
    remote: Arc<RedisCache>,
}

impl Awaited {
    /// Waits until it is worth to look for the answer. `false` when the other has given up and it
    /// was looked for since, or the time to wait is over.
    pub async fn next(&mut self) -> bool {
        if self.ended {
            self.remote.metrics.claim(Claiming::InVain);
            return false;
        }
        sleep_until(self.due).await;
        self.due = Instant::now() + LOOK;
        let claimed = self.remote.is_claimed(&self.name).await;
        self.ended = !claimed || self.due > self.until;
        true
    }

    /// It is there.
    pub fn found(self) {
        self.remote.metrics.claim(Claiming::Found);
    }
}

impl RedisCache {
    /// Says that the answer of `key` is being fetched at `slot`, unless another gateway has said so
    /// and its answer would hold at that slot. Answers hold for `slots` slots; `None`: for long.
    pub async fn claim(self: &Arc<Self>, key: CacheKey, slot: Slot, slots: Option<u64>) -> Claimed {
        let wait = self.settings.wait_for_others;
        if wait.is_zero() {
            return Claimed::Unknown;
        }
        let name = schema::claim(key.to_bytes());
        let token = format!("{:032x}", fastrand::u128(..));
        let until = Instant::now() + wait;
        let mut claim = cmd("EVAL");
        claim.arg(schema::CLAIM).arg(1).arg(&name);
        claim.arg(slot.0).arg(&token).arg(millis(wait));
        claim.arg(slots.unwrap_or(LONG).min(LONG));
        match self.ask(&claim, yes).await {
            Ok(true) => {
                self.metrics.claim(Claiming::Mine);
                Claimed::Mine(Claim {
                    name,
                    value: format!("{} {token}", slot.0),
                    remote: Some(Arc::clone(self)),
                })
            }
            Ok(false) => Claimed::Taken(Awaited {
                name,
                due: Instant::now() + LOOK,
                until,
                ended: false,
                remote: Arc::clone(self),
            }),
            Err(failure) => {
                self.metrics.claim(Claiming::Failed);
                self.metrics.failure(RedisOperation::Claim, failure);
                Claimed::Unknown
            }
        }
    }

    async fn is_claimed(&self, name: &str) -> bool {
        let mut exists = cmd("EXISTS");
        exists.arg(name);
        let there = self.ask(&exists, yes).await;
        there.inspect_err(|failure| self.metrics.failure(RedisOperation::Claim, *failure))
            == Ok(true)
    }
}

/// As long as the others wait, the claim lasts: whoever has made it may be gone.
fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// 1 is yes, 0 is no.
fn yes(value: Value) -> Option<bool> {
    from_redis_value(value).ok()
}
