//! Messages in protobuf.

use bytes::Bytes;
use prost::Message as _;

use crate::decode::error::DecodeError;
use crate::decode::shape::{self, Limits};
use crate::decode::{Kind, Message, wire};

/// The field of a transaction that repeats its trades or transfers.
const EVENTS: u32 = 5;

/// The field of a transaction of transfers that repeats its changes of balances.
const BALANCES: u32 = 6;

/// The field of a transaction that repeats its instructions.
const INSTRUCTIONS: u32 = 7;

/// Reads a message; strings are copied, bytes are shared with the payload.
pub(super) fn decode(kind: Kind, payload: &Bytes, limits: &Limits) -> Result<Message, DecodeError> {
    let whole = payload.clone();
    Ok(match kind {
        Kind::Trades => {
            shape::check(payload, &[EVENTS], limits)?;
            Message::Trades(wire::DexParsedBlockMessage::decode(whole)?)
        }
        Kind::Transfers => {
            shape::check(payload, &[EVENTS, BALANCES], limits)?;
            Message::Transfers(wire::TokenBlockMessage::decode(whole)?)
        }
        Kind::Transactions => {
            shape::check(payload, &[INSTRUCTIONS], limits)?;
            Message::Transactions(wire::ParsedIdlBlockMessage::decode(whole)?)
        }
        Kind::Slots => Message::Slot(slot(whole)?),
    })
}

/// The format of slot topics is not published: the header stands alone, or at the head of a block
/// message. The type of the first field distinguishes them: a number or a message.
fn slot(payload: Bytes) -> Result<wire::BlockHeader, DecodeError> {
    match wire::BlockMessage::decode(payload.clone()) {
        Ok(block) => block.header.ok_or(DecodeError::NoSlot),
        Err(error) => match wire::BlockHeader::decode(payload) {
            Ok(header) => Ok(header),
            Err(_) => Err(error.into()),
        },
    }
}
