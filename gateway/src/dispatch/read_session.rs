//! Keeps the head of the chain from running backwards for one client.
//!
//! An answer below what the client was told before is asked for again of an upstream that is fit
//! and has reached it. If nobody knows better, a bare number is answered with the floor itself,
//! which is a value the cluster has really had; answers that carry more than the number are
//! delivered as they are.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::attempt::AnswerPayload;
use super::floor::{Floor, FloorTime};
use super::signature_reply::own_answer;
use super::{ClientKey, Dispatch, DispatchState};
use crate::config;
use crate::jsonrpc::Answer;
use crate::solana::{self, Class, HeadCounter, Heads, Method};

/// What one client was told, as far as it matters to one call. Found once per call.
#[derive(Clone, Debug)]
pub struct ReadSession {
    method: Method,
    commitment: Commitment,
    /// `None` where the method's answers tell nothing of the head of the chain.
    floor: Option<Arc<Floor>>,
    at: FloorTime,
    /// By how many slots the client may be led back.
    step_back: u64,
}

/// What one answer told its client; nothing where that is of no account.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToldHeads(Option<(Commitment, Heads)>);

impl ToldHeads {
    /// At which commitment it told what.
    pub fn heads(&self) -> Option<(Commitment, Heads)> {
        self.0
    }
}

impl ReadSession {
    /// The session of a client for one call. `now` may be when the call came.
    pub fn of(
        live: &DispatchState,
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
            floor: tells.then(|| live.floors.of(client, commitment)),
            at: live.floors.moment(now, selection.floor_ttl),
            step_back: selection.step_back,
        }
    }

    /// What a result says of the head of the chain, where that matters. The result may be cut off
    /// behind its context.
    pub fn heads(&self, result: &[u8]) -> Heads {
        if self.floor.is_none() {
            return Heads::default();
        }
        solana::heads(self.method, result)
    }

    /// Whether an answer that says this would let the client see the chain run backwards.
    pub fn goes_backwards(&self, heads: &Heads) -> bool {
        let floor = self.floor.as_ref();
        floor.is_some_and(|floor| heads.is_below(&floor.heads(self.at), self.step_back))
    }

    /// Remembers that the client is told this.
    pub fn tell(&self, heads: &Heads) -> ToldHeads {
        let Some(floor) = &self.floor else {
            return ToldHeads::default();
        };
        for (head, number) in heads.named() {
            floor.raise(head, number, self.at);
        }
        ToldHeads(Some((self.commitment, *heads)))
    }

    /// The greatest number the client was told.
    fn told(&self, head: HeadCounter) -> Option<u64> {
        self.floor.as_ref()?.get(head, self.at)
    }

    /// The lowest slot at which an answer for the client may be read.
    pub(super) fn slot_floor(&self) -> Option<Slot> {
        let told = self.told(HeadCounter::Slot)?;
        Some(Slot(HeadCounter::Slot.back(told, self.step_back)))
    }
}

impl Dispatch<'_> {
    /// What an answer says of the head of the chain. Of one that streams, its beginning is looked
    /// at.
    pub(super) fn heads(&self, payload: &AnswerPayload) -> Heads {
        let result = payload.result();
        result.map_or_else(Heads::default, |result| self.session.heads(result))
    }

    /// The last resort for an answer that is below the floor.
    pub(super) fn hold_floor(&self, payload: AnswerPayload) -> BackwardAnswer {
        let heads = self.heads(&payload);
        let bare = matches!(&payload, AnswerPayload::Whole(answer) if is_number(answer));
        if !bare || !self.session.goes_backwards(&heads) {
            return BackwardAnswer::Answer(payload);
        }
        let mut named = heads.named();
        let told = named.find_map(|(head, _)| self.session.told(head));
        match told.and_then(|told| own_answer(&told.to_string())) {
            Some(held) => BackwardAnswer::Floor(held),
            None => BackwardAnswer::Answer(payload),
        }
    }
}

/// An answer that would have led its client back.
pub(super) enum BackwardAnswer {
    /// The client's own floor instead: it is no upstream's answer, and nobody else's business.
    Floor(AnswerPayload),
    /// As it came.
    Answer(AnswerPayload),
}

fn is_number(answer: &Answer) -> bool {
    answer
        .result()
        .is_some_and(|result| result.iter().all(u8::is_ascii_digit))
}
