//! What a probe remembers of each address.

use std::collections::HashMap;
use std::net::SocketAddr;

use perijove_core::Slot;

use super::lane::ProbeLane;
use super::turns::AddressTurns;
use crate::upstream::health::slot_look::SlotLook;

/// What it remembers of all addresses.
#[derive(Default)]
pub(super) struct ProbeMemory {
    pub(super) rounds: HashMap<SocketAddr, AddressMemory>,
    /// Whose turn it is where not all addresses are probed.
    pub(super) turns: AddressTurns,
    /// Whether the log says that probes are rare.
    pub(super) is_said_rare: bool,
}

/// What it remembers of one address, and its connections there.
pub(super) struct AddressMemory {
    pub(super) lane: ProbeLane,
    pub(super) round: u64,
    pub(super) skipped: u32,
    pub(super) fresh: [u64; 3],
    pub(super) good: bool,
    /// The last slots seen, in the order of [`Commitment::ALL`].
    pub(super) slots: [Option<Slot>; 3],
}

impl ProbeMemory {
    /// Records the position of an address, and returns whether another working one is further
    /// ahead.
    pub(super) fn is_outrun(&mut self, address: SocketAddr, look: &SlotLook) -> bool {
        if let Some(known) = self.rounds.get_mut(&address) {
            for (known, slot) in known.slots.iter_mut().zip(look.slots) {
                *known = slot.or(*known);
            }
        }
        let others = self.rounds.iter().filter(|(other, _)| **other != address);
        let ahead = |slots: &[Option<Slot>; 3]| {
            let pairs = slots.iter().zip(look.slots);
            pairs
                .filter_map(|(other, own)| Some(*other > Some(own?)))
                .any(|ahead| ahead)
        };
        others
            .filter(|(_, known)| known.good)
            .any(|(_, known)| ahead(&known.slots))
    }
}
