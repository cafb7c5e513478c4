//! Keeps the head of the chain from running backwards for one client.
//!
//! An answer below what the client was told before is asked for again elsewhere. If nobody knows
//! better, a bare number is answered with the floor itself, which is a value the cluster has really
//! had; answers that carry more than the number are delivered as they are.

use perijove_core::Slot;
use tokio::time::Instant;

use super::attempt::Payload;
use super::landed::own_answer;
use super::{Delivered, Exchange};
use crate::jsonrpc::Answer;
use crate::solana::{self, Head, HeadValue, Method};

impl Exchange<'_> {
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
        let ttl = self.settings.selection.floor_ttl;
        let commitment = self.class.context.commitment;
        self.live
            .floors
            .get(self.client, self.head()?, commitment, ttl, Instant::now())
    }

    /// The floor where it is a slot, which helps to choose an upstream.
    pub(super) fn slot_floor(&self) -> Option<Slot> {
        (self.head()? == Head::Slot)
            .then(|| self.floor().map(Slot))
            .flatten()
    }

    fn told(&self, payload: &Payload) -> Option<HeadValue> {
        self.head()?;
        let Payload::Whole(answer) = payload else {
            return None;
        };
        solana::head_value(self.class.method, answer.result()?)
    }

    /// Whether a good answer would let this client see the chain run backwards.
    pub(super) fn goes_backwards(&self, payload: &Payload) -> bool {
        match (self.told(payload), self.floor()) {
            (Some(told), Some(floor)) => told.number < floor,
            _ => false,
        }
    }

    /// Remembers what a good answer tells the client.
    pub(super) fn raise_floor(&self, payload: &Payload) {
        if let Some(HeadValue { head, number }) = self.told(payload) {
            let commitment = self.class.context.commitment;
            self.live
                .floors
                .raise(self.client, head, commitment, number, Instant::now());
        }
    }

    /// The last resort for an answer that is below the floor.
    pub(super) fn hold_floor(&self, payload: Payload) -> Delivered {
        let Some(floor) = self.floor().filter(|_| self.goes_backwards(&payload)) else {
            return Delivered::Payload(payload);
        };
        let bare = matches!(&payload, Payload::Whole(answer) if is_number(answer));
        match own_answer(&floor.to_string()) {
            Some(held) if bare => Delivered::Payload(held),
            _ => Delivered::Payload(payload),
        }
    }
}

fn is_number(answer: &Answer) -> bool {
    answer
        .result()
        .is_some_and(|result| result.iter().all(u8::is_ascii_digit))
}
