//! Whether the whole cluster stands still: then nobody is carried forward.

use std::sync::Arc;

use perijove_core::Commitment;
use tokio::time::Instant;

use crate::upstream::health::slot_position::{FURTHEST, STILL, SlotPace, SlotPosition};
use crate::upstream::health::tracker::Health;
use crate::upstream::state::endpoint_state::EndpointState;

/// Upstreams that have halted together may differ by this many slots.
const TOGETHER: u64 = 4;

/// Whether an upstream was last seen where another one stands still, and that one had stood there for a
/// while by then. Had the cluster advanced, this one would have been seen further on. So it stands still as
/// well, although it was not seen often enough to show that by itself.
pub(super) fn is_halted(
    stand: &SlotPosition,
    members: &[Arc<EndpointState>],
    now: Instant,
    pace: SlotPace,
) -> bool {
    [Commitment::Processed, Commitment::Confirmed]
        .into_iter()
        .filter_map(|level| Some((level, stand.seen(level)?)))
        .any(|(level, seen)| {
            let is_there = |other: &Arc<EndpointState>| {
                if !is_evidence(other.health()) {
                    return false;
                }
                other.stand().seen(level).is_some_and(|still| {
                    still.stands(pace)
                        && now.saturating_duration_since(still.at) < FURTHEST
                        && seen.at >= still.since + STILL
                        && seen.slot <= still.slot
                        && seen.slot.lag_behind(still.slot) <= TOGETHER
                })
            };
            members.iter().any(is_there)
        })
}

/// Whether where it stands says anything about the cluster.
fn is_evidence(health: Health) -> bool {
    health == Health::Stopped || (health.knows_the_tip() && health != Health::Suspect)
}
