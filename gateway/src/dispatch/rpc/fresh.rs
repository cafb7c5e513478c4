//! Whether an answer fits where the cluster is: whether its node is far enough ahead for its word about
//! something recent to be final, and whether its numbers are possible.

use perijove_core::{Commitment, Slot};

use super::RpcCall;
use super::behind::{FRESH_LAG, is_behind};
use crate::solana::Heads;
use crate::upstream::Upstream;

/// Finality comes in bursts: nodes at the tip differ by more.
const FRESH_FINALITY: u64 = 8;

impl RpcCall<'_> {
    /// Whether an answer that was read at this slot is one of a node that trails the others, or may.
    pub(super) fn trails(&self, upstream: &Upstream, slot: Option<Slot>) -> bool {
        let late = |slot| self.fresh_floor().is_some_and(|floor| slot < floor);
        is_behind(upstream) || slot.is_none_or(late)
    }

    /// Whether the cluster can have reached the numbers of an answer.
    pub(super) fn is_possible(&self, heads: &Heads, upstream: &Upstream) -> bool {
        let tip = self.pool.tip(Commitment::Processed);
        // Nearly always near the tip, which is possible.
        let beyond = heads.slot().filter(|slot| Some(*slot) > tip);
        beyond.is_none_or(|slot| !upstream.is_impossible(slot))
            && tip.is_none_or(|tip| self.memory.floors.bounds.allow(heads, tip))
    }

    /// The lowest slot at which an answer does not trail.
    pub(super) fn fresh_floor(&self) -> Option<Slot> {
        let commitment = self.class.context.commitment;
        let behind = match commitment {
            Commitment::Processed | Commitment::Confirmed => FRESH_LAG,
            Commitment::Finalized => FRESH_FINALITY,
        };
        let tip = self.pool.tip(commitment)?;
        Some(Slot(tip.0.saturating_sub(behind)))
    }
}
