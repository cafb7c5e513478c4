//! Whose fault a refusal was, settled by what others say: an upstream that refused or failed a request
//! which another then served has that counted against it. Where all refuse, nobody is to blame but the
//! request.

use std::sync::Arc;

use super::operation::Judge;
use crate::solana::FaultKind;
use crate::upstream::ChosenPeer;

/// The upstreams that did not serve this request, so far.
#[derive(Debug)]
pub(super) struct Accused<Peer>(Vec<(Arc<Peer>, FaultKind)>);

impl<Peer> Default for Accused<Peer> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Peer> Accused<Peer> {
    /// Notes one that had seen the request, and what it said.
    pub(super) fn note(&mut self, upstream: &Arc<Peer>, kind: FaultKind) {
        self.0.push((Arc::clone(upstream), kind));
    }

    /// Somebody served the request.
    pub(super) fn settle<J: Judge>(&mut self, judge: &J, by: &Arc<Peer>)
    where
        J::Chosen: ChosenPeer<Peer = Peer>,
    {
        for (upstream, kind) in self.0.drain(..) {
            if !Arc::ptr_eq(&upstream, by) {
                judge.hold_against(&upstream, kind);
            }
        }
    }
}
