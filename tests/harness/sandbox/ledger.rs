//! What clients wrote to the cluster: transactions by signature and lamports by account. Shared by
//! all validators, since a transaction sent to one is found on every other.

use std::collections::{BTreeMap, HashMap, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::Value;

/// Transactions remembered before the oldest is forgotten.
const CAPACITY: usize = 100_000;

/// A transaction that was accepted.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The slot it landed in.
    pub slot: u64,
    /// Its base64 text.
    pub transaction: String,
    /// Why it failed, as `err` has it.
    pub err: Option<Value>,
}

impl Landed {
    /// The transaction as it was sent.
    pub fn bytes(&self) -> Vec<u8> {
        STANDARD.decode(&self.transaction).unwrap_or_default()
    }
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
    /// The signatures of each slot, in the order of their landing.
    by_slot: BTreeMap<u64, Vec<String>>,
    /// The newest slot whose whole content has been answered.
    sealed: u64,
    /// What each account was given, and from which slot on it is there.
    gifts: HashMap<String, Vec<(u64, u64)>>,
    airdrops: u64,
}

impl Ledger {
    /// Remembers a transaction; a second submission of the same signature changes nothing. It lands
    /// at `slot`, or in the next one that is not sealed.
    pub fn land(&self, signature: &str, transaction: String, slot: u64) {
        self.land_with(signature, transaction, slot, None);
    }

    /// The same for one that failed with `err`, if any.
    pub fn land_with(&self, signature: &str, transaction: String, slot: u64, err: Option<Value>) {
        let mut state = self.state.lock();
        if state.transactions.contains_key(signature) {
            return;
        }
        if state.order.len() >= CAPACITY
            && let Some(oldest) = state.order.pop_front()
            && let Some(forgotten) = state.transactions.remove(&oldest)
        {
            state.by_slot.remove(&forgotten.slot);
        }
        let slot = state.lands(slot);
        state.order.push_back(signature.to_owned());
        let beside = state.by_slot.entry(slot).or_default();
        beside.push(signature.to_owned());
        state.transactions.insert(
            signature.to_owned(),
            Landed {
                slot,
                transaction,
                err,
            },
        );
    }

    /// Closes all slots up to this one: its whole content is about to be answered.
    pub fn seal(&self, slot: u64) {
        let mut state = self.state.lock();
        state.sealed = state.sealed.max(slot);
    }

    /// What landed in a slot, in order.
    pub fn landed_in(&self, slot: u64) -> Vec<(String, Landed)> {
        let state = self.state.lock();
        let signatures = state.by_slot.get(&slot).into_iter().flatten();
        signatures
            .filter_map(|signature| {
                let landed = state.transactions.get(signature)?;
                Some((signature.clone(), landed.clone()))
            })
            .collect()
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
        let slot = state.lands(slot);
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

    /// Whether an account was given anything in a slot.
    pub fn touched(&self, account: &str, slot: u64) -> bool {
        let state = self.state.lock();
        let gifts = state.gifts.get(account);
        gifts.is_some_and(|gifts| gifts.iter().any(|(at, _)| *at == slot))
    }

    /// The lamports an account was given up to a slot.
    pub fn lamports_by(&self, account: &str, slot: u64) -> u64 {
        let state = self.state.lock();
        state.gifts.get(account).map_or(0, |gifts| sum(gifts, slot))
    }
}

impl State {
    /// Where what was meant for `slot` lands.
    fn lands(&self, slot: u64) -> u64 {
        slot.max(self.sealed.saturating_add(1))
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
    fn what_comes_after_a_slot_is_sealed_lands_later() {
        let ledger = Ledger::default();
        ledger.land("early", String::new(), 5);
        ledger.seal(5);
        ledger.land("late", String::new(), 5);
        ledger.airdrop("key", 7, 5);
        let in_slot = |slot| {
            let landed = ledger.landed_in(slot).into_iter();
            landed.map(|(signature, _)| signature).collect::<Vec<_>>()
        };
        assert_eq!(in_slot(5), ["early"]);
        assert_eq!(in_slot(6), ["late"]);
        assert_eq!(ledger.lamports_by("key", 5), 0);
        assert_eq!(ledger.lamports_by("key", 6), 7);
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
