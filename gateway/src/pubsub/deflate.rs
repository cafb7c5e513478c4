//! permessage-deflate (RFC 7692) towards clients, beside `tokio-tungstenite`, which does not have it.
//!
//! No context is kept from one message to the next, in neither direction. So a socket that is idle has no
//! memory of a compressor, and what many clients are told is compressed once.

mod agreement;
mod compressors;
mod frame_head;
mod inbound;
mod inflaters;
mod stream;

pub use self::agreement::DeflateAgreement;
pub(super) use self::compressors::{Compressors, completed};
pub(super) use self::inflaters::Inflaters;
pub(super) use self::stream::{InflatingStream, is_corrupt};
