//! What clients wrote to the cluster: transactions by signature and lamports by account. Shared by
//! all validators, since a transaction sent to one is found on every other.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

/// Transactions remembered before the oldest is forgotten.
const CAPACITY: usize = 100_000;

/// Lamports an account holds that nobody ever touched.
const UNTOUCHED: u64 = 1_999_995_000;

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
    lamports: HashMap<String, u64>,
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

    /// Adds lamports to an account and returns a fresh number for the airdrop's signature.
    pub fn airdrop(&self, account: &str, lamports: u64) -> u64 {
        let mut state = self.state.lock();
        let balance = state.lamports.entry(account.to_owned()).or_insert(0);
        *balance = balance.saturating_add(lamports);
        state.airdrops += 1;
        state.airdrops
    }

    /// Lamports of an account.
    pub fn lamports(&self, account: &str) -> u64 {
        let state = self.state.lock();
        state.lamports.get(account).copied().unwrap_or(UNTOUCHED)
    }
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
        assert_eq!(ledger.airdrop("key", 5), 1);
        assert_eq!(ledger.airdrop("key", 7), 2);
        assert_eq!(ledger.lamports("key"), 12);
    }
}
