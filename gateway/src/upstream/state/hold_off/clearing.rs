//! What ends a hold-off, and whether it has.

use tokio::time::Instant;

use super::HoldOff;
use crate::solana::Capability;
use crate::upstream::state::hold_off::method_memory::MethodMemory;
use crate::upstream::state::pause::Pause;

impl HoldOff {
    /// Whether calls of `method` itself go elsewhere.
    pub(in crate::upstream) fn holds_method(&self, method: &str, now: Instant) -> bool {
        self.methods.get(method).is_some_and(|memory| {
            memory.pause.left(now).is_some() || memory.is_closed(now) || memory.refusals.lasts(now)
        })
    }

    /// A good answer to `method` clears the hold-offs of it and of the upstream, unless the call
    /// had `started` before the refusal: among concurrent calls some are still served when others
    /// are refused. What is known of broken streams stays. Returns whether the gateway's key was refused
    /// before.
    pub(in crate::upstream) fn clear(&mut self, method: &str, started: Instant) -> bool {
        let mut key_taken = false;
        if self.upstream.is_before(started) {
            key_taken |= self.upstream.is_for_key();
            self.upstream = Pause::default();
        }
        let after_all = |memory: &MethodMemory| {
            memory.pause.is_before(started)
                && memory.closed_at.is_none_or(|at| at <= started)
                && memory.refusals.are_before(started)
        };
        if self.methods.get(method).is_some_and(after_all)
            && let Some(memory) = self.methods.remove(method)
        {
            key_taken |= memory.pause.is_for_key();
            if !memory.streams.is_empty() {
                let streams = MethodMemory {
                    streams: memory.streams,
                    ..MethodMemory::default()
                };
                self.methods.insert(method, streams);
            }
        }
        key_taken
    }

    /// A probe that began at `started` was successful: the upstream accepts calls again, if only a
    /// guess kept them from it. A pause that it named itself, used-up credits and a refused key are
    /// not cleared by a probe, which may cost nothing and need no key.
    pub(in crate::upstream) fn clear_guess(&mut self, started: Instant, now: Instant) {
        if self.upstream.is_before(started) && self.upstream.is_guess(now) {
            self.upstream = Pause::default();
        }
    }

    /// A good answer to a call that needed `capability`.
    pub(in crate::upstream) fn clear_lack(&mut self, capability: Capability) {
        self.lacks.retain(|(lacked, _)| *lacked != capability);
    }
}
