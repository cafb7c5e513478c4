//! The allowances of all consumers, and of addresses without a key.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use quick_cache::sync::{Cache, EntryAction, EntryResult};

use tokio::time::{Duration, Instant};

use super::allowance::Allowance;
use super::caller_network::caller_network;
use super::rate::Rate;
use crate::config;

/// Addresses that are remembered. A caller with more addresses gets new bursts, but no more memory.
const ADDRESSES: usize = 20_000;

/// Different wrong keys that an address may show at once, and per minute.
const WRONG_KEYS: u32 = 10;
/// How long it has to wait afterwards, for each.
const PAUSE: Duration = Duration::from_secs(6);

/// State that outlives a configuration: how much every caller has used up.
#[derive(Debug)]
pub struct Allowances {
    consumers: Mutex<HashMap<Arc<str>, Arc<Allowance>>>,
    /// Callers that are not in the configuration, of which there may be any number.
    strangers: Cache<Arc<str>, Arc<Allowance>>,
    addresses: Cache<IpAddr, Arc<Allowance>>,
    guessers: Cache<IpAddr, Arc<Guesser>>,
    /// Hashes of address and key, of keys that were right. Their owners are not held up by others
    /// behind the same address (NAT, a load balancer) who guess.
    right_keys: Cache<u64, ()>,
    /// A wrong key was shown at some time.
    guessed: AtomicBool,
    /// Randomly seeded: the remembered hashes reveal nothing about keys.
    hasher: RandomState,
}

/// An address that has shown a wrong key.
#[derive(Debug)]
struct Guesser {
    rate: Rate,
    /// When it may show another.
    free_at: Mutex<Instant>,
    /// Hashes of the last wrong keys. A key that is shown again is no guess but one that was revoked
    /// or misspelt; other callers behind the same address (NAT) must not be locked out for it.
    shown: Mutex<VecDeque<u64>>,
}

impl Default for Allowances {
    fn default() -> Self {
        Self {
            consumers: Mutex::default(),
            strangers: Cache::new(ADDRESSES),
            addresses: Cache::new(ADDRESSES),
            guessers: Cache::new(ADDRESSES),
            right_keys: Cache::new(ADDRESSES),
            guessed: AtomicBool::new(false),
            hasher: RandomState::new(),
        }
    }
}

impl Allowances {
    /// The allowance of a consumer. It is reset if its plan has changed.
    pub fn of_consumer(&self, consumer: &Arc<str>, plan: &Arc<config::Plan>) -> Arc<Allowance> {
        let mut consumers = self.consumers.lock();
        match consumers.get(consumer) {
            Some(allowance) if allowance.plan() == plan => Arc::clone(allowance),
            known => {
                let renewed = known.map(|known| known.renewed(plan));
                let allowance = renewed.unwrap_or_else(|| Allowance::new(plan));
                consumers.insert(Arc::clone(consumer), Arc::clone(&allowance));
                allowance
            }
        }
    }

    /// The same for a consumer known only by its token. Of these at most as many are remembered as
    /// of addresses.
    pub fn of_stranger(&self, consumer: &Arc<str>, plan: &Arc<config::Plan>) -> Arc<Allowance> {
        remembered(&self.strangers, consumer, plan)
    }

    /// The allowance of an address. The addresses of one IPv6 /64 count as one caller.
    pub fn of_address(&self, address: IpAddr, plan: &Arc<config::Plan>) -> Arc<Allowance> {
        remembered(&self.addresses, &caller_network(address), plan)
    }

    /// Records that an address has shown a wrong key.
    pub fn wrong_key(&self, address: IpAddr, key: &[u8]) {
        let new = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Guesser {
                rate: Rate::new(WRONG_KEYS, WRONG_KEYS),
                free_at: Mutex::new(Instant::now()),
                shown: Mutex::default(),
            }))
        };
        self.guessed.store(true, Ordering::Relaxed);
        let Ok(guesser) = self
            .guessers
            .get_or_insert_with(&caller_network(address), new);
        if guesser.has_shown(self.hasher.hash_one(key)) {
            return;
        }
        if !guesser.rate.take(1).is_ok_and(|left| left.remaining > 0) {
            *guesser.free_at.lock() = Instant::now() + PAUSE;
        }
    }

    /// Records that an address has shown the key of a consumer.
    pub fn right_key(&self, address: IpAddr, key: &[u8]) {
        let hash = self.hasher.hash_one((caller_network(address), key));
        if self.right_keys.get(&hash).is_none() {
            self.right_keys.insert(hash, ());
        }
    }

    /// Whether this key was right when the address last showed it. It may have been revoked since.
    pub fn was_right(&self, address: IpAddr, key: &[u8]) -> bool {
        let hash = self.hasher.hash_one((caller_network(address), key));
        self.right_keys.get(&hash).is_some()
    }

    /// Whether nobody has ever shown a wrong key.
    pub fn is_quiet(&self) -> bool {
        !self.guessed.load(Ordering::Relaxed)
    }

    /// How long an address that has shown many wrong keys has to wait before another key is
    /// checked.
    pub fn may_not_guess_for(&self, address: IpAddr) -> Option<Duration> {
        if self.is_quiet() {
            return None;
        }
        let guesser = self.guessers.get(&caller_network(address))?;
        let wait = guesser
            .free_at
            .lock()
            .checked_duration_since(Instant::now());
        wait.filter(|wait| !wait.is_zero())
    }
}

impl Guesser {
    /// Whether this key is one of the last wrong ones; it is from now on.
    fn has_shown(&self, hash: u64) -> bool {
        let mut shown = self.shown.lock();
        if shown.contains(&hash) {
            return true;
        }
        if shown.len() >= WRONG_KEYS as usize {
            shown.pop_front();
        }
        shown.push_back(hash);
        false
    }
}

fn remembered<K: Clone + Eq + Hash>(
    cache: &Cache<K, Arc<Allowance>>,
    key: &K,
    plan: &Arc<config::Plan>,
) -> Arc<Allowance> {
    if let Some(allowance) = cache.get(key)
        && allowance.plan() == plan
    {
        return allowance;
    }
    // Concurrent requests share one allowance: the second finds that of the first.
    let entry = cache.entry(key, None, |_key, known| {
        if known.plan() != plan {
            *known = known.renewed(plan);
        }
        EntryAction::<Arc<Allowance>>::Retain(Arc::clone(known))
    });
    match entry {
        EntryResult::Retained(allowance) => allowance,
        EntryResult::Vacant(place) => {
            let allowance = Allowance::new(plan);
            // Fails only if the entry is removed meanwhile, which never happens.
            drop(place.insert(Arc::clone(&allowance)));
            allowance
        }
        // Not requested above.
        EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => {
            Allowance::new(plan)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(per_minute: u32) -> Arc<config::Plan> {
        Arc::new(config::Plan {
            requests_per_minute: Some(per_minute),
            burst: 1,
            ..config::Plan::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_used_up_stays_used_up_until_the_plan_is_another() {
        let allowances = Allowances::default();
        let bots: Arc<str> = "bots".into();
        let (slow, same, fast) = (plan(6), plan(6), plan(600));
        assert!(allowances.of_consumer(&bots, &slow).admit(1).await.is_ok());
        assert!(allowances.of_consumer(&bots, &same).admit(1).await.is_err());
        assert!(allowances.of_consumer(&bots, &fast).admit(1).await.is_ok());
    }

    #[test]
    fn first_requests_that_come_at_once_share_one_allowance() {
        const THREADS: usize = 4;
        let allowances = Allowances::default();
        let slow = plan(6);
        let barrier = std::sync::Barrier::new(THREADS);
        for number in 0..2_000_u32 {
            let address = IpAddr::V4(number.into());
            let all: Vec<_> = std::thread::scope(|scope| {
                let one = || {
                    barrier.wait();
                    allowances.of_address(address, &slow)
                };
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])), "{address}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ipv6_network_is_one_caller_and_a_v4_address_is_one_in_both_spellings() {
        let allowances = Allowances::default();
        let slow = plan(6);
        for (one, other, same) in [
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8:1::1", "2001:db8:1:1::1", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.3", "192.0.2.4", false),
        ] {
            let of = |address: &str| allowances.of_address(address.parse().unwrap(), &slow);
            assert!(of(one).admit(1).await.is_ok(), "{one}");
            assert_eq!(of(other).admit(1).await.is_err(), same, "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_addresses_only_so_many_are_remembered_and_the_busy_one_among_them() {
        let allowances = Allowances::default();
        let slow = plan(6);
        let busy: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(allowances.of_address(busy, &slow).admit(1).await.is_ok());
        for number in 0..100_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            assert!(allowances.of_address(address, &slow).admit(1).await.is_ok());
            allowances.wrong_key(address, b"plum");
            assert!(allowances.of_address(busy, &slow).admit(1).await.is_err());
        }
        assert!(allowances.addresses.len() <= ADDRESSES);
        assert!(allowances.guessers.len() <= ADDRESSES);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_keys_has_to_wait_and_nobody_else_has() {
        let allowances = Allowances::default();
        let [guesser, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        for guess in 0..WRONG_KEYS {
            assert_eq!(allowances.may_not_guess_for(guesser), None);
            allowances.wrong_key(guesser, &guess.to_be_bytes());
        }
        let wait = allowances.may_not_guess_for(guesser).unwrap();
        assert_eq!(allowances.may_not_guess_for(other), None);
        tokio::time::advance(wait).await;
        assert_eq!(allowances.may_not_guess_for(guesser), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_has_expired_locks_nobody_out_who_shares_the_address() {
        let allowances = Allowances::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..1000 {
            allowances.wrong_key(address, b"of-last-year");
            allowances.wrong_key(address, b"misspelt");
            assert_eq!(allowances.may_not_guess_for(address), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_were_right_are_told_from_guesses_by_their_address() {
        let allowances = Allowances::default();
        let [here, there] = ["2001:db8::1", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());
        allowances.right_key(here, b"sesame");
        assert!(allowances.was_right(here, b"sesame"));
        assert!(!allowances.was_right(here, b"plum"));
        assert!(!allowances.was_right(there, b"sesame"));
    }
}
