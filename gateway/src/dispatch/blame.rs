//! Whose fault a refusal was, settled by what others say: an upstream that refused or failed a request
//! which another then served has that counted against it. Where all refuse, nobody is to blame but the
//! request.

use std::sync::Arc;

use super::operation::Judge;
use crate::solana::FaultKind;
use crate::upstream::Upstream;

/// The upstreams that did not serve this request, so far.
#[derive(Debug, Default)]
pub(super) struct Accused(Vec<(Arc<Upstream>, FaultKind)>);

impl Accused {
    /// Notes one that had seen the request, and what it said.
    pub(super) fn note(&mut self, upstream: &Arc<Upstream>, kind: FaultKind) {
        self.0.push((Arc::clone(upstream), kind));
    }

    /// Somebody served the request.
    pub(super) fn settle(&mut self, judge: &impl Judge, by: &Arc<Upstream>) {
        for (upstream, kind) in self.0.drain(..) {
            if !Arc::ptr_eq(&upstream, by) {
                judge.hold_against(&upstream, kind);
            }
        }
    }
}
