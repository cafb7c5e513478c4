//! What clients wrote to the cluster: transactions by signature and lamports by account. Shared by
//! all validators, since a transaction sent to one is found on every other.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

/// Transactions remembered before the oldest is forgotten.
const CAPACITY: usize = 100_000;

/// A transaction that was accepted.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The slot it landed in.
    pub slot: u64,
    /// Its base64 text.
    pub transaction: String,
}

/// Writes, cluster-wide.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    transactions: HashMap<String, Landed>,
    order: VecDeque<String>,
    /// What each account was given, and from which slot on it is there.
    gifts: HashMap<String, Vec<(u64, u64)>>,
    airdrops: u64,
}

impl Ledger {
    /// Remembers a transaction; a second submission of the same signature changes nothing.
    pub fn land(&self, signature: &str, transaction: String, slot: u64) {
        let mut state = self.state.lock();
        if state.transactions.contains_key(signature) {
            return;
        }
        if state.order.len() >= CAPACITY
            && let Some(oldest) = state.order.pop_front()
        {
            state.transactions.remove(&oldest);
        }
        state.order.push_back(signature.to_owned());
        state
            .transactions
            .insert(signature.to_owned(), Landed { slot, transaction });
    }

    /// The transaction with this signature.
    pub fn find(&self, signature: &str) -> Option<Landed> {
        self.state.lock().transactions.get(signature).cloned()
    }

    /// How many transactions were accepted.
    pub fn len(&self) -> usize {
        self.state.lock().order.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives lamports to an account from a slot on, and returns a fresh number for the airdrop's
    /// signature.
    pub fn airdrop(&self, account: &str, lamports: u64, slot: u64) -> u64 {
        let mut state = self.state.lock();
        let gifts = state.gifts.entry(account.to_owned()).or_default();
        gifts.push((slot, lamports));
        state.airdrops += 1;
        state.airdrops
    }

    /// All lamports an account was given; `None` if it never was given any.
    pub fn lamports(&self, account: &str) -> Option<u64> {
        let state = self.state.lock();
        state.gifts.get(account).map(|gifts| sum(gifts, u64::MAX))
    }

    /// The lamports an account was given up to a slot.
    pub fn lamports_by(&self, account: &str, slot: u64) -> u64 {
        let state = self.state.lock();
        state.gifts.get(account).map_or(0, |gifts| sum(gifts, slot))
    }
}

fn sum(gifts: &[(u64, u64)], by: u64) -> u64 {
    let there = gifts.iter().filter(|(slot, _)| *slot <= by);
    there.fold(0, |sum, (_, lamports)| sum.saturating_add(*lamports))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_submission_of_a_signature_counts() {
        let ledger = Ledger::default();
        ledger.land("sig", "AA==".to_owned(), 5);
        ledger.land("sig", "BB==".to_owned(), 9);
        assert_eq!(ledger.find("sig").map(|landed| landed.slot), Some(5));
        assert_eq!(ledger.len(), 1);
        assert!(ledger.find("other").is_none());
    }

    #[test]
    fn airdrops_add_up() {
        let ledger = Ledger::default();
        assert_eq!(ledger.lamports("key"), None);
        assert_eq!(ledger.airdrop("key", 5, 100), 1);
        assert_eq!(ledger.airdrop("key", 7, 103), 2);
        assert_eq!(ledger.lamports("key"), Some(12));
        assert_eq!(ledger.lamports_by("key", 99), 0);
        assert_eq!(ledger.lamports_by("key", 102), 5);
        assert_eq!(ledger.lamports_by("key", 103), 12);
    }
}
