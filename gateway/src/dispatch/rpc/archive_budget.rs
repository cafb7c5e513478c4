//! Limits questions to archives that find nothing: callers that keep asking for things that do not
//! exist would cost a paid call each time. Questions that find something cost nothing here.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::context::ClientKey;

/// Unused questions of this time may be asked at once.
const BURST: Duration = Duration::from_secs(10);

/// Clients whose questions are remembered, at most.
const CLIENTS: usize = 1024;

/// A token bucket. Its rate is passed in, because a reload may change it. The lower half of it is for
/// clients that found most of what they asked for, so that one that asks for things that do not exist
/// does not hide the archive from the others.
#[derive(Debug)]
pub(super) struct ArchiveBudget(Mutex<ArchiveBudgetState>);

#[derive(Debug)]
struct ArchiveBudgetState {
    left: f64,
    refilled: Instant,
    clients: HashMap<ClientKey, ClientUse>,
}

/// The questions of one client that found nothing. A quarter of the rate is forgotten with time.
#[derive(Clone, Copy, Debug)]
struct ClientUse {
    questions: f64,
    at: Instant,
}

impl ClientUse {
    fn questions(self, per_second: u32, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.questions - elapsed * f64::from(per_second) / 4.0).max(0.0)
    }
}

impl ArchiveBudget {
    /// Full at first.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(ArchiveBudgetState {
            left: f64::INFINITY,
            refilled: now,
            clients: HashMap::new(),
        }))
    }

    /// Whether a client may ask another question.
    pub(super) fn take(&self, client: ClientKey, per_second: u32, now: Instant) -> bool {
        let mut state = self.0.lock();
        let elapsed = now.saturating_duration_since(state.refilled).as_secs_f64();
        state.refilled = now;
        let room = f64::from(per_second) * BURST.as_secs_f64();
        state.left = (state.left + elapsed * f64::from(per_second)).min(room);
        let own = state.used(client, per_second, now);
        let may = state.left >= 1.0 && (state.left > room / 2.0 || own < room / 4.0);
        if may {
            state.left -= 1.0;
            state.uses(client, own + 1.0, per_second, now);
        }
        may
    }

    /// A client's question found something, so it costs nothing.
    pub(super) fn give_back(&self, client: ClientKey) {
        let mut state = self.0.lock();
        state.left += 1.0;
        if let Some(used) = state.clients.get_mut(&client) {
            used.questions -= 1.0;
        }
    }
}

impl ArchiveBudgetState {
    fn used(&self, client: ClientKey, per_second: u32, now: Instant) -> f64 {
        let used = self.clients.get(&client);
        used.map_or(0.0, |used| used.questions(per_second, now))
    }

    fn uses(&mut self, client: ClientKey, questions: f64, per_second: u32, now: Instant) {
        if self.clients.len() >= CLIENTS {
            self.clients
                .retain(|_, used| used.questions(per_second, now) >= 1.0);
        }
        if self.clients.len() < CLIENTS || self.clients.contains_key(&client) {
            let used = ClientUse { questions, at: now };
            self.clients.insert(client, used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &ArchiveBudget, client: ClientKey, now: Instant) -> usize {
        (0..10_000).filter(|_| rate.take(client, 5, now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_long_run_no_more_are_asked_than_the_rate() {
        let start = Instant::now();
        let rate = ArchiveBudget::new(start);
        let all = |now| {
            (0..100)
                .map(|client| taken(&rate, client, now))
                .sum::<usize>()
        };
        assert_eq!(all(start), 50, "ten seconds' worth at once");
        assert_eq!(all(start + Duration::from_secs(1)), 5);
        assert_eq!(all(start + Duration::from_mins(10)), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_finds_nothing_leaves_half_to_the_others() {
        let start = Instant::now();
        let rate = ArchiveBudget::new(start);
        assert_eq!(taken(&rate, 1, start), 25, "five seconds' worth at once");
        for second in 1..60 {
            let now = start + Duration::from_secs(second);
            assert!(taken(&rate, 1, now) <= 5);
            assert!(rate.take(2, 5, now), "in second {second}");
            rate.give_back(2);
        }
        let later = start + Duration::from_mins(10);
        assert_eq!(taken(&rate, 1, later), 25, "what was long ago is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_found_costs_nothing() {
        let now = Instant::now();
        let rate = ArchiveBudget::new(now);
        for _ in 0..1_000 {
            assert!(rate.take(1, 5, now));
            rate.give_back(1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ever_other_clients_take_no_more_memory() {
        let now = Instant::now();
        let rate = ArchiveBudget::new(now);
        for client in 0..5_000 {
            rate.take(client, 100_000, now);
        }
        assert!(rate.0.lock().clients.len() <= CLIENTS);
    }

    #[tokio::test(start_paused = true)]
    async fn none_may_be_asked_at_a_rate_of_none() {
        let now = Instant::now();
        let rate = ArchiveBudget::new(now);
        assert!(!rate.take(1, 0, now));
    }
}
