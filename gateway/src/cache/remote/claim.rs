//! Claims: when several gateways are about to make the same call, one claims it and the others wait
//! briefly for its answer. Optional; if anything goes wrong here, the call is merely made twice.

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

/// How often waiting gateways check for the answer.
const LOOK: Duration = Duration::from_millis(10);

/// Maximum duration of a claim in slots; numbers in Redis scripts are doubles.
const LONG: u64 = 1_000_000_000;

/// What became of a claim.
pub enum Claimed {
    /// No other gateway is fetching the answer: this caller is, from now on.
    Mine(Claim),
    /// Another gateway is fetching it.
    Taken(Awaited),
    /// Waiting is disabled, or Redis did not answer.
    Unknown,
}

/// The right to fetch an answer that other gateways wait for. When it is dropped, the others
/// continue by themselves.
pub struct Claim {
    name: String,
    value: String,
    remote: Option<Arc<RedisCache>>,
}

impl Claim {
    /// The answer is about to be written to Redis. Until it is there, others find the claim, which
    /// expires by itself.
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
                // The claim expires by itself.
                remote.metrics.failure(RedisOperation::Claim, failure);
            }
        }));
    }
}

/// An answer that another gateway is fetching.
pub struct Awaited {
    name: String,
    due: Instant,
    until: Instant,
    ended: bool,
    remote: Arc<RedisCache>,
}

impl Awaited {
    /// Waits until the next lookup is worthwhile. `false` when the other gateway has given up and a
    /// lookup was made since, or when the waiting time is over.
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

    /// The answer was found.
    pub fn found(self) {
        self.remote.metrics.claim(Claiming::Found);
    }
}

impl RedisCache {
    /// Claims the call of `key` at `slot`, unless another gateway has claimed it and its answer
    /// would be valid at that slot. Answers are valid for `slots` slots; `None`: for long.
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

/// A claim lasts as long as others wait: its owner may have disappeared.
fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// 1 is yes, 0 is no.
fn yes(value: Value) -> Option<bool> {
    from_redis_value(value).ok()
}
