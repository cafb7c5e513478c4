//! Budgets that gateways share: requests are leased from buckets in Redis, and the gateways that
//! share them are counted.

use perijove_core::redis as schema;
use redis::{Value, cmd, from_redis_value};

use super::RedisCache;
use super::failure::RedisOperation;

/// A gateway that has not reported for this many seconds counts as gone.
const GONE: u64 = 10;

/// What is requested of a bucket; see [`schema::LEASE`].
#[derive(Clone, Copy, Debug)]
pub struct BucketLease {
    /// Nanoseconds in which one request is earned.
    pub interval: u64,
    pub burst: u64,
    pub want: i64,
    pub sent: i64,
    /// Number of this lease request, and of the last one that was answered.
    pub number: u64,
    pub answered: u64,
}

impl RedisCache {
    /// Leases requests of a budget for the gateway with this id: returns how many are granted, and
    /// how many are then left. `None` if Redis does not answer.
    pub async fn lease(&self, name: &str, id: &str, lease: &BucketLease) -> Option<(i64, i64)> {
        let mut command = cmd("EVAL");
        command.arg(schema::LEASE).arg(1).arg(schema::budget(name));
        #[expect(clippy::cast_precision_loss, reason = "a thousandth of a nanosecond")]
        command.arg(lease.interval as f64 / 1e3);
        command.arg(lease.burst).arg(lease.want).arg(lease.sent);
        command.arg(id).arg(lease.number).arg(lease.answered);
        let pair = |value: Value| from_redis_value::<(i64, i64)>(value).ok();
        let answer = self.ask(&command, pair).await;
        let counted = answer.inspect_err(|failure| {
            self.metrics.failure(RedisOperation::Lease, *failure);
        });
        counted.ok()
    }

    /// Reports the gateway with this id as present at this second since 1970; returns how many are.
    pub async fn be_counted(&self, id: &str, now: u64) -> Option<u64> {
        let key = schema::replicas();
        let mut add = cmd("ZADD");
        add.arg(&key).arg(now).arg(id);
        let mut sweep = cmd("ZREMRANGEBYSCORE");
        sweep.arg(&key).arg("-inf").arg(now.saturating_sub(GONE));
        let mut count = cmd("ZCARD");
        count.arg(&key);
        let number = |value: Value| from_redis_value::<u64>(value).ok();
        for command in [&add, &sweep] {
            self.ask(command, number).await.ok()?;
        }
        self.ask(&count, number).await.ok()
    }
}
