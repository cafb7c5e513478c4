//! What one client was shown of the head of the chain, which must not run backwards for it.
//!
//! An answer below what the client was shown before is requested again from a healthy upstream that
//! has reached it; what becomes of it if there is none, `session_floor` says.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::floor::{Floor, FloorTime};
use super::memory::RpcMemory;
use crate::config;
use crate::context::ClientKey;
use crate::solana::{self, Class, HeadCounter, Heads, Method};

/// What one client was shown, as far as it matters to one call. Looked up once per call.
#[derive(Clone, Debug)]
pub struct ReadSession {
    method: Method,
    commitment: Commitment,
    /// `None` if the method's answers say nothing about the head of the chain.
    floor: Option<Arc<Floor>>,
    at: FloorTime,
    /// By how many slots an answer may be older than the floor.
    step_back: u64,
    /// In a batch, the floor when it began: later ones are not for its calls.
    begun: Option<Heads>,
    /// Nobody is shown what is answered.
    unseen: bool,
}

/// What one client was shown at each commitment before a moment.
#[derive(Clone, Copy, Debug)]
pub struct ShownHeads([Heads; 3]);

impl ShownHeads {
    /// What this client has been shown by now.
    pub fn of(
        memory: &RpcMemory,
        client: ClientKey,
        selection: &config::Selection,
        now: Instant,
    ) -> Self {
        let at = memory.floors.moment(now, selection.floor_ttl);
        Self(memory.floors.shown(client, at))
    }
}

/// What one answer shows its client; empty if that does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToldHeads(Option<(Commitment, Heads)>);

impl ToldHeads {
    /// The commitment and the numbers that it shows.
    pub fn heads(&self) -> Option<(Commitment, Heads)> {
        self.0
    }
}

impl ReadSession {
    /// The session of a client for one call. `now` may be the time of the request.
    pub fn of(
        memory: &RpcMemory,
        client: ClientKey,
        class: &Class,
        selection: &config::Selection,
        now: Instant,
    ) -> Self {
        let tells = solana::tells_head(class.method);
        let commitment = class.context.commitment;
        Self {
            method: class.method,
            commitment,
            floor: tells.then(|| memory.floors.of(client, commitment)),
            at: memory.floors.moment(now, selection.floor_ttl),
            step_back: selection.step_back,
            begun: None,
            unseen: false,
        }
    }

    /// The same, bound only by what the client had been shown before.
    #[must_use]
    pub fn since(self, shown: &ShownHeads) -> Self {
        let begun = shown.0.get(self.commitment.index()).copied();
        Self { begun, ..self }
    }

    /// The same for a call whose answer goes to the cache only: it shows the client nothing.
    #[must_use]
    pub fn unseen(self) -> Self {
        Self {
            unseen: true,
            ..self
        }
    }

    /// What a result says about the head of the chain, where that matters. The result may be cut
    /// off after its context.
    pub fn heads(&self, result: &[u8]) -> Heads {
        if self.floor.is_none() {
            return Heads::default();
        }
        solana::heads(self.method, result)
    }

    /// Whether an answer with these numbers would let the client see the chain run backwards.
    pub fn goes_backwards(&self, heads: &Heads) -> bool {
        let Some(floor) = &self.floor else {
            return false;
        };
        let shown = self.begun.unwrap_or_else(|| floor.heads(self.at));
        heads.is_below(&shown, self.step_back)
    }

    /// Records that the client is shown these numbers.
    pub fn tell(&self, heads: &Heads) -> ToldHeads {
        if self.unseen {
            return self.shows(heads);
        }
        let Some(floor) = &self.floor else {
            return ToldHeads::default();
        };
        for (head, number) in heads.named() {
            floor.raise(head, number, self.at);
        }
        ToldHeads(Some((self.commitment, *heads)))
    }

    /// The same for numbers that raise no floor, since they are below it.
    pub(super) fn shows(&self, heads: &Heads) -> ToldHeads {
        let matters = self.floor.is_some();
        ToldHeads(matters.then_some((self.commitment, *heads)))
    }

    /// The greatest number the client was shown.
    pub(super) fn told(&self, head: HeadCounter) -> Option<u64> {
        let floor = self.floor.as_ref()?;
        match self.begun {
            Some(shown) => shown.get(head),
            None => floor.get(head, self.at),
        }
    }

    /// The lowest slot at which an answer for the client may be read.
    pub(super) fn slot_floor(&self) -> Option<Slot> {
        let told = self.told(HeadCounter::Slot)?;
        Some(Slot(HeadCounter::Slot.back(told, self.step_back)))
    }
}
