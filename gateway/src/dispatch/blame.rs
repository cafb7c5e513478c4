//! Whose fault a refusal was, decided by comparison: an upstream that refused or failed a call that
//! another then served has that counted against it, for the method. If all refuse, the call is at
//! fault.

use std::sync::Arc;

use perijove_core::Slot;

use super::Dispatch;
use crate::solana::{FaultKind, Penalty, Verdict};
use crate::upstream::Upstream;

/// The upstreams that did not serve this call, so far.
#[derive(Debug, Default)]
pub(super) struct Accused(Vec<(Arc<Upstream>, FaultKind)>);

impl Accused {
    /// Notes the verdict on an upstream that had seen the call. `reached` is the slot it was known
    /// to have reached.
    pub(super) fn note(
        &mut self,
        upstream: &Arc<Upstream>,
        verdict: &Verdict,
        reached: Option<Slot>,
        dispatch: &Dispatch<'_>,
    ) {
        let counts = match verdict.penalty {
            Penalty::Failure | Penalty::Refusal => true,
            // It refers to a slot that was not requested, or that the upstream has.
            Penalty::None if verdict.kind == FaultKind::MinContextSlot => {
                let asked = dispatch.class.context.min_context_slot;
                asked.is_none_or(|slot| reached >= Some(slot))
            }
            _ => false,
        };
        if counts {
            self.0.push((Arc::clone(upstream), verdict.kind));
        }
    }

    /// An upstream served the call.
    pub(super) fn settle(&mut self, dispatch: &Dispatch<'_>, by: &Arc<Upstream>) {
        for (upstream, kind) in self.0.drain(..) {
            if !Arc::ptr_eq(&upstream, by) {
                upstream.refused(dispatch.call.method(), dispatch.call.params(), kind);
            }
        }
    }
}
