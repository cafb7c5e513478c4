//! From the bytes of a record to Bitquery's messages: protobuf, or the JSON that says the same.
//!
//! Pure. What a message means is for [`project`](crate::project). Fields that are not read are
//! skipped without being looked at, so a fault inside one of them goes unnoticed; fields that are
//! not known are no fault.

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

/// Reads the payload of a record. None is a record without one.
///
/// # Errors
/// The payload is not such a message, is beyond the limits, or does not say its slot.
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
