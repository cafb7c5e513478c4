//! Decodes a record into Bitquery's messages: protobuf, or the equivalent JSON.
//!
//! Pure. [`project`](crate::project) interprets messages. Fields that are not needed are skipped
//! unread, so a fault inside one of them goes unnoticed; unknown fields are not a fault.

mod error;
pub(crate) mod json;
mod kind;
mod message;
mod protobuf;
mod shape;
pub mod wire;

use bytes::Bytes;

pub use error::DecodeError;
pub use kind::{Encoding, Kind};
pub use message::Message;
pub use shape::Limits;

/// Decodes the payload of a record. `None` is a record without one.
///
/// # Errors
/// The payload is not such a message, exceeds the limits, or has no slot.
pub fn decode(
    kind: Kind,
    encoding: Encoding,
    payload: Option<&Bytes>,
    limits: &Limits,
) -> Result<Message, DecodeError> {
    let payload = payload.filter(|payload| !payload.is_empty());
    let payload = payload.ok_or(DecodeError::Empty)?;
    if payload.len() > limits.bytes {
        return Err(DecodeError::TooLarge {
            found: payload.len(),
            limit: limits.bytes,
        });
    }
    let message = match encoding.of(payload) {
        Encoding::Json => json::decode(kind, payload, limits)?,
        Encoding::Protobuf | Encoding::Auto => protobuf::decode(kind, payload, limits)?,
    };
    match message.header() {
        Some(header) if header.slot > 0 => Ok(message),
        _ => Err(DecodeError::NoSlot),
    }
}

#[cfg(test)]
mod tests;
