//! A budget shared by replicas: requests are leased from the bucket in Redis before they are
//! needed, a few at a time, so that no call waits for Redis. Without Redis each replica uses its
//! own share.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Budget;

/// Requests are leased for this many rounds ahead.
const AHEAD: u64 = 2;
/// Requests that only looked count up to this many times those that were sent.
const LOOKS: u64 = 8;
/// The stock that is always leased is at most this fraction of the burst.
const STOCK_PART: u64 = 16;

/// A lease request to the bucket in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Nanoseconds in which one request is earned.
    pub interval: u64,
    pub burst: u64,
    /// Requests to lease; negative for those that are returned.
    pub want: i64,
    /// Requests sent without a lease, minus those leased and not sent.
    pub sent: i64,
    /// Number of this request, and of the last one that was answered: what was granted to those in
    /// between is lost.
    pub number: u64,
    pub answered: u64,
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAnswer {
    pub granted: i64,
    /// What is left in the bucket.
    pub beyond: i64,
}

impl LeaseRequest {
    /// Nothing is needed: Redis need not be asked.
    pub fn is_nothing(&self) -> bool {
        self.want == 0 && self.sent == 0
    }
}

impl Budget {
    /// The demand, based on what was taken since the last round. `None` without a limit.
    pub fn demand(&self, now: Instant) -> Option<LeaseRequest> {
        let rate = (*self.rate.lock())?;
        let (interval, burst) = (rate.interval_nanos(), u64::from(rate.burst));
        let taken = self.taken.swap(0, Ordering::Relaxed);
        let missed = self.missed(taken);
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let answered = self.answered.load(Ordering::Relaxed);
        if !self.is_leased() {
            return Some(LeaseRequest {
                interval,
                burst,
                want: signed(stock(burst)),
                sent: signed(self.sent_alone(now).min(burst))
                    - self.alone_lease.load(Ordering::Relaxed),
                number,
                answered,
            });
        }
        let lease = self.lease.load(Ordering::Relaxed);
        let sent = lease.saturating_neg().max(0);
        let most = (burst / 2).max(stock(burst));
        let target = taken.saturating_add(missed).saturating_mul(AHEAD);
        let target = target.clamp(stock(burst), most);
        let want = signed(target) - lease.max(0);
        // A few too many are kept: they will be needed soon, or are returned when there are many.
        let keeps = want < 0 && lease <= signed(target * 2);
        Some(LeaseRequest {
            interval,
            burst,
            want: if keeps { 0 } else { want },
            sent,
            number,
            answered,
        })
    }

    /// Requests since the last round that looked and found too little. A call looks at each upstream
    /// that it could be sent to, several times perhaps, and is then sent to one: where nothing is sent
    /// no more is leased than the largest needs.
    fn missed(&self, taken: u64) -> u64 {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let largest = self.largest_missed.swap(0, Ordering::Relaxed);
        missed.min(taken.saturating_mul(LOOKS).saturating_add(largest))
    }

    /// Adopts what Redis has granted.
    pub fn granted(&self, demand: &LeaseRequest, leased: LeaseAnswer) {
        self.beyond.store(leased.beyond, Ordering::Relaxed);
        self.answered.store(demand.number, Ordering::Relaxed);
        if self.is_leased() {
            let more = leased.granted.saturating_add(demand.sent);
            self.lease.fetch_add(more, Ordering::Relaxed);
            return;
        }
        self.divide(1);
        self.alone_lease.store(0, Ordering::Relaxed);
        self.lease.store(leased.granted, Ordering::Relaxed);
        self.is_leased.store(true, Ordering::Relaxed);
    }

    /// Redis does not answer: from now on a local bucket with the share of one of `replicas`.
    pub fn go_alone(&self, replicas: u64, now: Instant) {
        let was_leased = self.is_leased();
        self.divide(replicas);
        if !was_leased {
            return;
        }
        // What was leased may still be sent, and a share of what was left.
        let lease = self.lease.swap(0, Ordering::Relaxed).max(0);
        self.alone_lease.store(lease, Ordering::Relaxed);
        let beyond = self.beyond.load(Ordering::Relaxed).max(0) / signed(replicas.max(1));
        let burst = self.burst.load(Ordering::Relaxed);
        let left = u64::try_from(lease.saturating_add(beyond))
            .unwrap_or(0)
            .min(burst);
        let missing = (burst - left).saturating_mul(self.interval.load(Ordering::Relaxed));
        let full_at = self.nanos(now).saturating_add(missing);
        self.full_at.store(full_at, Ordering::Relaxed);
        self.alone_full_at.store(full_at, Ordering::Relaxed);
        self.is_leased.store(false, Ordering::Relaxed);
    }

    /// What was sent without Redis, as far as it has not been earned again. The bucket in Redis
    /// knows what was used up before.
    fn sent_alone(&self, now: Instant) -> u64 {
        let before = self.alone_full_at.load(Ordering::Relaxed);
        let before = before.saturating_sub(self.nanos(now));
        let since = self.missing(now).saturating_sub(before);
        since.div_ceil(self.interval.load(Ordering::Relaxed).max(1))
    }

    fn divide(&self, parts: u64) {
        let rate = self.rate.lock();
        self.parts.store(parts.max(1), Ordering::Relaxed);
        self.apply(*rate);
    }

    /// Whether requests are leased at this moment.
    pub fn is_leased(&self) -> bool {
        self.is_leased.load(Ordering::Relaxed)
    }
}

/// Leased however little is needed: the first call after a silence must not wait.
fn stock(burst: u64) -> u64 {
    (burst / STOCK_PART).max(1)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
