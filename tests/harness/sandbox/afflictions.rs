//! The faults one validator has at the moment: added and removed by the control port or a test,
//! consulted for every request, used up when they are limited in number.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::chain::Line;
use super::clock::FINALIZED_DISTANCE;
use super::fault::{Fault, HANDSHAKE, Kind, ResetWhen};
use super::workers::Workers;

/// A validator's active faults, oldest first.
#[derive(Debug, Default)]
pub struct Afflictions {
    active: Mutex<Vec<Active>>,
    /// Notified when all faults are removed.
    cleared: watch::Sender<()>,
    /// How many faults were ever set; notified when one is set or all are removed.
    set: watch::Sender<u64>,
    /// Those of the last fault that bounds them.
    workers: Mutex<Arc<Workers>>,
}

/// An active fault of WebSockets.
#[derive(Debug, Clone, PartialEq)]
pub struct Spell {
    pub fault: Fault,
    /// Its number among all faults that were ever set.
    pub number: u64,
}

#[derive(Debug)]
struct Active {
    fault: Fault,
    left: Option<u32>,
    /// The slot at which the fault was set, where `stop` freezes and `fork` leaves the others.
    since: u64,
    number: u64,
}

/// What the view faults change, all in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distortion {
    pub lag: u64,
    pub stopped_at: Option<u64>,
    /// The newest slot of which it saw the finality.
    pub rooted: Option<u64>,
    pub fork: Option<Fork>,
    pub wrong_genesis: bool,
    pub health: Option<String>,
    pub height_is_slot: bool,
    pub shred_gap: u64,
    pub already_processed: bool,
}

/// A fork a validator is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    pub line: Line,
    /// How many slots it runs before the cluster.
    pub ahead: u64,
}

impl Afflictions {
    /// Adds a fault, `now` being the validator's slot.
    pub fn add(&self, fault: Fault, now: u64) {
        let left = fault.times;
        if let Kind::Workers { count, .. } = fault.kind {
            *self.workers.lock() = Arc::new(Workers::new(count));
        }
        let mut active = self.active.lock();
        let number = *self.set.borrow() + 1;
        active.push(Active {
            fault,
            left,
            since: now,
            number,
        });
        self.set.send_replace(number);
    }

    /// Who executes calls while a fault bounds that.
    pub fn workers(&self) -> Arc<Workers> {
        Arc::clone(&self.workers.lock())
    }

    /// Removes every fault.
    pub fn clear(&self) {
        self.active.lock().clear();
        self.cleared.send_replace(());
        self.set.send_modify(|_number| {});
    }

    /// The number of the last fault that was set; changes when one is set or all are taken away.
    pub fn setting(&self) -> watch::Receiver<u64> {
        self.set.subscribe()
    }

    /// The faults of WebSockets, oldest first.
    pub fn spells(&self) -> Vec<Spell> {
        let active = self.active.lock();
        let spells = active.iter().filter(|one| one.fault.kind.is_pubsub());
        spells
            .map(|one| Spell {
                fault: one.fault.clone(),
                number: one.number,
            })
            .collect()
    }

    /// Uses up, by one, the fault with this number; `false` if it was over already.
    pub fn use_up(&self, number: u64) -> bool {
        let mut active = self.active.lock();
        let Some(at) = active.iter().position(|one| one.number == number) else {
            return false;
        };
        if let Some(one) = active.get_mut(at) {
            one.left = one.left.map(|left| left.saturating_sub(1));
            if one.left == Some(0) {
                active.remove(at);
            }
        }
        true
    }

    /// The faults that the handshake of a WebSocket meets: those that name it.
    pub fn take_for_handshake(&self) -> Vec<Kind> {
        self.take(|fault| {
            let named = fault.methods.iter().any(|one| one == HANDSHAKE);
            named && !fault.kind.is_view() && !fault.kind.is_pubsub()
        })
    }

    /// Changes when all faults are taken away from now on.
    pub fn clearing(&self) -> watch::Receiver<()> {
        self.cleared.subscribe()
    }

    /// The faults that are not over.
    pub fn list(&self) -> Vec<Fault> {
        let active = self.active.lock();
        active
            .iter()
            .map(|one| Fault {
                times: one.left,
                ..one.fault.clone()
            })
            .collect()
    }

    /// What the validator believes instead of the truth.
    pub fn distortion(&self) -> Distortion {
        let mut all = Distortion::default();
        for one in self.active.lock().iter() {
            match &one.fault.kind {
                Kind::Lag { slots } => all.lag = all.lag.max(*slots),
                Kind::StopFinality => {
                    let root = one.since.saturating_sub(FINALIZED_DISTANCE);
                    all.rooted = all.rooted.or(Some(root));
                }
                Kind::Stop => all.stopped_at = all.stopped_at.or(Some(one.since)),
                Kind::Fork { ahead } => {
                    // The slot it stands at is the first of its own.
                    let line = Line::fork(one.since.saturating_sub(1));
                    all.fork = all.fork.or(Some(Fork {
                        line,
                        ahead: *ahead,
                    }));
                }
                Kind::WrongGenesis => all.wrong_genesis = true,
                Kind::Health { says } => all.health = Some(says.clone()),
                Kind::HeightIsSlot => all.height_is_slot = true,
                Kind::ShredGap { slots } => all.shred_gap = *slots,
                Kind::AlreadyProcessed => all.already_processed = true,
                _ => {}
            }
        }
        all
    }

    /// Whether the connection is to be reset before a request is read; uses the fault up.
    pub fn take_early_reset(&self) -> bool {
        let early = |kind: &Kind| {
            matches!(
                kind,
                Kind::Reset {
                    when: ResetWhen::BeforeRead
                }
            )
        };
        !self.take(|fault| early(&fault.kind)).is_empty()
    }

    /// The faults that a request calling `methods` meets as a whole; each is used up by one.
    pub fn take_for_request(&self, methods: &[String], probe: bool) -> Vec<Kind> {
        self.take(|fault| {
            let view = fault.kind.is_view() || fault.kind.is_pubsub();
            let whole = !view && !matches!(fault.kind, Kind::RpcError { .. });
            let read = !matches!(
                fault.kind,
                Kind::Reset {
                    when: ResetWhen::BeforeRead
                }
            );
            whole && read && hits(fault, methods, probe)
        })
    }

    /// The JSON-RPC error one call meets, used up by one.
    pub fn take_for_call(&self, method: &str, probe: bool) -> Option<Kind> {
        let methods = [method.to_owned()];
        let mut found = false;
        self.take(|fault| {
            let first = !found
                && matches!(fault.kind, Kind::RpcError { .. })
                && hits(fault, &methods, probe);
            found |= first;
            first
        })
        .pop()
    }

    /// Uses up, by one, each active fault that `wanted` picks.
    fn take(&self, mut wanted: impl FnMut(&Fault) -> bool) -> Vec<Kind> {
        let mut active = self.active.lock();
        let mut taken = Vec::new();
        active.retain_mut(|one| {
            if !wanted(&one.fault) {
                return true;
            }
            taken.push(one.fault.kind.clone());
            one.left = one.left.map(|left| left.saturating_sub(1));
            one.left != Some(0)
        });
        taken
    }
}

fn hits(fault: &Fault, methods: &[String], probe: bool) -> bool {
    if probe && fault.spare_probes {
        return false;
    }
    fault.methods.is_empty()
        || methods
            .iter()
            .any(|method| fault.methods.iter().any(|one| one == method))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_limited_fault_is_used_up() {
        let faults = Afflictions::default();
        faults.add(Fault::status(500).times(2), 0);
        for expected in [1, 1, 0] {
            let taken = faults.take_for_request(&methods(&["getSlot"]), false);
            assert_eq!(taken.len(), expected);
        }
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_fault_hits_its_methods_only_and_may_spare_probes() {
        let faults = Afflictions::default();
        faults.add(Fault::status(500).on("getBalance").sparing_probes(), 0);
        let hit = |names: &[&str], probe| faults.take_for_request(&methods(names), probe).len();
        assert_eq!(hit(&["getSlot"], false), 0);
        assert_eq!(hit(&["getSlot", "getBalance"], false), 1);
        assert_eq!(hit(&["getBalance"], true), 0);
    }

    #[test]
    fn an_rpc_error_counts_calls_not_requests() {
        let faults = Afflictions::default();
        faults.add(Fault::rpc(-32005).times(1), 0);
        assert!(
            faults
                .take_for_request(&methods(&["a", "b"]), false)
                .is_empty()
        );
        assert!(faults.take_for_call("a", false).is_some());
        assert!(faults.take_for_call("b", false).is_none());
    }

    #[test]
    fn faults_of_web_sockets_hit_no_request_and_a_handshake_meets_only_those_that_name_it() {
        let faults = Afflictions::default();
        faults.add(Kind::WsFreeze.into(), 0);
        faults.add(Fault::no_handshake().times(1), 0);
        assert!(
            faults
                .take_for_request(&methods(&["getSlot"]), false)
                .is_empty()
        );
        assert_eq!(faults.take_for_handshake(), [Kind::Hang]);
        faults.add(Kind::Hang.into(), 0);
        assert!(faults.take_for_handshake().is_empty());
        let numbers: Vec<_> = faults.spells().iter().map(|spell| spell.number).collect();
        assert_eq!(numbers, [1]);
    }

    #[test]
    fn a_stopped_validator_stays_where_it_was() {
        let faults = Afflictions::default();
        faults.add(Kind::Stop.into(), 77);
        faults.add(Kind::Stop.into(), 99);
        assert_eq!(faults.distortion().stopped_at, Some(77));
        faults.clear();
        assert_eq!(faults.distortion(), Distortion::default());
    }

    #[test]
    fn whoever_waits_is_told_when_the_faults_are_taken_away() {
        let faults = Afflictions::default();
        faults.add(Kind::Hold.into(), 0);
        let clearing = faults.clearing();
        assert!(!clearing.has_changed().unwrap());
        faults.clear();
        assert!(clearing.has_changed().unwrap());
        assert!(!faults.clearing().has_changed().unwrap());
    }

    #[test]
    fn a_fork_leaves_the_others_where_it_was_set() {
        let faults = Afflictions::default();
        faults.add(Kind::Fork { ahead: 2 }.into(), 77);
        faults.add(Kind::Fork { ahead: 9 }.into(), 99);
        let line = Line::fork(76);
        assert_eq!(faults.distortion().fork, Some(Fork { line, ahead: 2 }));
    }
}
