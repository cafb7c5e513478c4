//! JSON-RPC 2.0 as Agave speaks it, on bytes: parsing requests, writing requests and errors,
//! reading answers far enough to replace the id. Pure, without I/O or clock.
//!
//! [`crate::solana`] knows the meaning of methods; nothing here reads parameters.

mod answer;
mod call;
mod cursor;
mod error;
#[cfg(test)]
pub(crate) mod fixtures;
mod head;
mod id;
mod id_seeker;
mod parse;
mod request_id;
mod splice;
mod tail;
mod template;

pub use answer::{Answer, ErrorObject, MalformedAnswer, MalformedKind};
pub use call::{Call, InvalidEntry, PLACEHOLDER_ID, RequestEntry, encode};
pub(crate) use cursor::unescape;
pub use cursor::{Cursor, Token};
pub use error::{RpcError, error_reply};
pub use head::{HeadKind, head_kind, result_head};
pub use id::Id;
pub use parse::{Batch, ParseError, RequestPayload, parse};
pub use request_id::RequestId;
pub use splice::Splicer;
pub use template::Template;
