//! The content of a request body: calls, invalid entries, and their grouping. Also writes a call
//! for an upstream; [`mod@super::parse`] reads them.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{Id, RpcError};

/// The id in answers that the gateway composes itself, until the caller's replaces it.
pub const PLACEHOLDER_ID: &[u8] = b"1";

/// One call, its parts still the caller's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The caller's id. `None` is a notification: Agave runs none of its methods for one and
    /// answers nothing.
    pub id: Option<Id>,
    /// The method as written in its JSON string, without the quotes.
    pub(super) method: ByteString,
    /// The method unescaped, if it contains escapes.
    pub(super) unescaped: Option<Box<str>>,
    /// Raw JSON of the parameters, an array or an object.
    pub(super) params: Option<Bytes>,
}

impl Call {
    /// The method's name.
    pub fn method(&self) -> &str {
        self.unescaped.as_deref().unwrap_or(&self.method)
    }

    /// The same call with other parameters: raw JSON, an array or an object.
    #[must_use]
    pub fn with_params(&self, params: Bytes) -> Self {
        Self {
            params: Some(params),
            ..self.clone()
        }
    }

    /// The raw JSON of the parameters: an array or an object; `None` when absent or `null`.
    pub fn params(&self) -> Option<&[u8]> {
        self.params.as_deref()
    }
}

/// An invalid entry, with the error that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEntry {
    /// The id, as far as it could be read.
    pub id: Id,
    /// What to answer.
    pub error: RpcError,
    /// The entry named no protocol version, so the reply names none either.
    pub versionless: bool,
}

/// One entry of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestEntry {
    /// A call or a notification.
    Call(Call),
    /// To be answered with an error.
    Invalid(InvalidEntry),
}

/// Writes a call as the body of an upstream request, up to its last member, the id: every attempt
/// has one of its own, which [`RequestId::close`](super::RequestId::close) appends.
pub fn encode(call: &Call, out: &mut BytesMut) {
    const HEAD: &[u8] = br#"{"jsonrpc":"2.0","method":""#;
    const PARAMS: &[u8] = br#"","params":"#;
    const ID: &[u8] = br#","id":"#;
    let params = call.params().unwrap_or_default();
    out.reserve(HEAD.len() + call.method.len() + PARAMS.len() + params.len() + ID.len());
    out.put_slice(HEAD);
    out.put_slice(call.method.as_bytes());
    if params.is_empty() {
        out.put_u8(b'"');
    } else {
        out.put_slice(PARAMS);
        out.put_slice(params);
    }
    out.put_slice(ID);
}
