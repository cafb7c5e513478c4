//! Keeps the head of the chain from running backwards for one client.
//!
//! An answer below what the client was told before is asked for again elsewhere. If nobody knows
//! better, a bare number is answered with the floor itself, which is a value the cluster has really
//! had; answers that carry more than the number are delivered as they are.

use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use super::attempt::Payload;
use super::landed::own_answer;
use super::{ClientKey, Exchange, Live};
use crate::jsonrpc::Answer;
use crate::solana::{self, Class, Head, HeadValue, Method};

/// What one client was told about the number that this kind of call answers with.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    pub live: &'a Live,
    pub client: ClientKey,
    pub class: &'a Class,
    /// How long the client's floor is remembered.
    pub floor_ttl: Duration,
}

impl Session<'_> {
    /// Which counter this method's answer tells of.
    fn head(&self) -> Option<Head> {
        match self.class.method {
            Method::GetSlot | Method::GetEpochInfo => Some(Head::Slot),
            Method::GetBlockHeight => Some(Head::BlockHeight),
            Method::GetLatestBlockhash => Some(Head::LastValidBlockHeight),
            Method::GetTransactionCount => Some(Head::TransactionCount),
            _ => None,
        }
    }

    /// The lowest number this client may be told.
    fn floor(&self) -> Option<u64> {
        let commitment = self.class.context.commitment;
        let (floors, now) = (&self.live.floors, Instant::now());
        floors.get(self.client, self.head()?, commitment, self.floor_ttl, now)
    }

    fn told(&self, result: &[u8]) -> Option<HeadValue> {
        self.head()?;
        solana::head_value(self.class.method, result)
    }

    /// Whether a good result would let this client see the chain run backwards.
    pub fn goes_backwards(&self, result: &[u8]) -> bool {
        match (self.told(result), self.floor()) {
            (Some(told), Some(floor)) => told.number < floor,
            _ => false,
        }
    }

    /// Remembers what a good result tells the client.
    pub fn raise_floor(&self, result: &[u8]) {
        if let Some(told) = self.told(result) {
            let commitment = self.class.context.commitment;
            let (floors, now) = (&self.live.floors, Instant::now());
            floors.raise(self.client, commitment, told, self.floor_ttl, now);
        }
    }
}

impl Exchange<'_> {
    fn session(&self) -> Session<'_> {
        Session {
            live: self.live,
            client: self.client,
            class: self.class,
            floor_ttl: self.settings.selection.floor_ttl,
        }
    }

    /// The floor where it is a slot, which helps to choose an upstream.
    pub(super) fn slot_floor(&self) -> Option<Slot> {
        let session = self.session();
        (session.head()? == Head::Slot)
            .then(|| session.floor().map(Slot))
            .flatten()
    }

    pub(super) fn goes_backwards(&self, payload: &Payload) -> bool {
        whole(payload).is_some_and(|result| self.session().goes_backwards(result))
    }

    pub(super) fn raise_floor(&self, payload: &Payload) {
        if let Some(result) = whole(payload) {
            self.session().raise_floor(result);
        }
    }

    /// The last resort for an answer that is below the floor.
    pub(super) fn hold_floor(&self, payload: Payload) -> Held {
        let floor = self.session().floor();
        let Some(floor) = floor.filter(|_| self.goes_backwards(&payload)) else {
            return Held::Answer(payload);
        };
        let bare = matches!(&payload, Payload::Whole(answer) if is_number(answer));
        match own_answer(&floor.to_string()) {
            Some(held) if bare => Held::Floor(held),
            _ => Held::Answer(payload),
        }
    }
}

/// An answer that would have led its client back.
pub(super) enum Held {
    /// The client's own floor instead: it is no upstream's answer, and nobody else's business.
    Floor(Payload),
    /// As it came.
    Answer(Payload),
}

fn whole(payload: &Payload) -> Option<&[u8]> {
    match payload {
        Payload::Whole(answer) => answer.result(),
        Payload::Stream { .. } => None,
    }
}

fn is_number(answer: &Answer) -> bool {
    answer
        .result()
        .is_some_and(|result| result.iter().all(u8::is_ascii_digit))
}
