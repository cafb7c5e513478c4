//! Reads a request body the way Agave's JSON-RPC server does (jsonrpc-core 18): what is a call,
//! what is an invalid entry, what invalidates the whole body. Zero copy: every part of a call is a
//! slice of the body, so numbers beyond 2^53 pass unchanged.

use std::collections::VecDeque;

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Call, Id, InvalidEntry, RequestEntry, RpcError,
    cursor::{Cursor, NotJson, Token, unescape},
};

/// Entries of a batch that are stored when parsed. Further ones are parsed again one by one: a
/// mebibyte can hold 350 000 invalid objects.
const KEPT: usize = 1024;

/// A request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestPayload {
    /// One object.
    Single(RequestEntry),
    /// An array, answered by an array in the same order. An empty one is answered with an empty
    /// HTTP body, as is one of notifications only.
    Batch(Batch),
}

/// The entries of a batch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    kept: VecDeque<RequestEntry>,
    /// The text from the first entry on that is not stored, and the number of entries in it.
    rest: Bytes,
    unread: usize,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ExactSizeIterator for Batch {
    fn len(&self) -> usize {
        self.kept.len() + self.unread
    }
}

impl Iterator for Batch {
    type Item = RequestEntry;

    fn next(&mut self) -> Option<RequestEntry> {
        if let Some(entry) = self.kept.pop_front() {
            return Some(entry);
        }
        self.unread = self.unread.checked_sub(1)?;
        let mut cursor = Cursor::new(&self.rest);
        // It was read once already.
        let next = entry(&self.rest, &mut cursor).ok()?;
        cursor.item(false).ok()?;
        let end = cursor.position();
        self.rest = self.rest.slice(end..);
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

/// Why a body holds no payload at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or with an id no call can have; answered with -32700 and a null id.
    #[error("the body is not a JSON-RPC request")]
    Json,
    /// Not UTF-8.
    #[error("the body is not UTF-8 from byte {valid_up_to} on")]
    Utf8 {
        /// Position of the first invalid byte.
        valid_up_to: usize,
    },
    /// More calls in one batch than allowed.
    #[error("the batch holds {calls} calls, at most {limit} are allowed")]
    TooManyCalls {
        /// Entries of the batch.
        calls: usize,
        /// Entries allowed.
        limit: usize,
    },
}

impl From<NotJson> for ParseError {
    fn from(_: NotJson) -> Self {
        Self::Json
    }
}

/// Reads a request body; `max_calls` bounds the entries of a batch.
///
/// Parameters may be an array or an object here: whether a method takes an object is not a matter
/// of JSON-RPC.
///
/// # Errors
/// See [`ParseError`].
pub fn parse(body: &Bytes, max_calls: usize) -> Result<RequestPayload, ParseError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(ParseError::Utf8 {
            valid_up_to: error.valid_up_to(),
        });
    }
    let mut cursor = Cursor::new(body);
    let payload = match cursor.token() {
        Some(Token::Object) => RequestPayload::Single(entry(body, &mut cursor)?),
        Some(Token::Array) => RequestPayload::Batch(batch(body, &mut cursor, max_calls)?),
        _ => return Err(ParseError::Json),
    };
    if cursor.at_end() {
        Ok(payload)
    } else {
        Err(ParseError::Json)
    }
}

fn batch(body: &Bytes, cursor: &mut Cursor<'_>, limit: usize) -> Result<Batch, ParseError> {
    let mut batch = Batch::default();
    let mut calls = 0;
    cursor.eat(b'[');
    while cursor.item(calls == 0)? {
        calls += 1;
        if cursor.token() != Some(Token::Object) {
            return Err(ParseError::Json);
        }
        if calls > limit {
            // Counted to the end for the error, but no longer kept.
            cursor.value().ok_or(ParseError::Json)?;
        } else if calls <= KEPT {
            batch.kept.push_back(entry(body, cursor)?);
        } else {
            if batch.unread == 0 {
                batch.rest = body.slice(cursor.position()..);
            }
            batch.unread += 1;
            entry(body, cursor)?;
        }
    }
    if calls > limit {
        Err(ParseError::TooManyCalls { calls, limit })
    } else {
        Ok(batch)
    }
}

/// The members of a request object, as far as they were seen.
#[derive(Default)]
struct RequestMembers<'a> {
    id: Option<&'a [u8]>,
    /// `Some(true)` when the version is "2.0".
    version: Option<bool>,
    method: Option<&'a [u8]>,
    params: Option<&'a [u8]>,
    /// An unknown or repeated member, or one of the wrong type: the object is not a call.
    spoilt: bool,
}

fn entry(body: &Bytes, cursor: &mut Cursor<'_>) -> Result<RequestEntry, ParseError> {
    let mut members = RequestMembers::default();
    let mut first = true;
    cursor.eat(b'{');
    while let Some(raw) = cursor.key(first)? {
        first = false;
        if raw.contains(&b'\\') {
            members
                .read(unescape(raw).as_bytes(), cursor)
                .ok_or(ParseError::Json)?;
        } else {
            members.read(raw, cursor).ok_or(ParseError::Json)?;
        }
    }
    Ok(members.into_entry(body))
}

impl<'a> RequestMembers<'a> {
    fn read(&mut self, key: &[u8], cursor: &mut Cursor<'a>) -> Option<()> {
        let token = cursor.token()?;
        match key {
            b"id" => {
                // Agave's server reads the id even of an invalid call, so a bad or second one
                // leaves no id to answer to: the whole body is a parse error.
                let id = identifier(token, cursor)?;
                if self.id.replace(id).is_some() {
                    return None;
                }
            }
            b"jsonrpc" => {
                let two = match cursor.value()? {
                    b"\"2.0\"" => true,
                    b"null" => false,
                    other => {
                        self.spoilt |= token != Token::String || unescape(inside(other)) != "2.0";
                        true
                    }
                };
                self.spoilt |= self.version.replace(two).is_some();
            }
            b"method" => {
                self.spoilt |= token != Token::String;
                self.spoilt |= self.method.replace(cursor.value()?).is_some();
            }
            b"params" => {
                self.spoilt |= matches!(token, Token::String | Token::Number | Token::Bool);
                self.spoilt |= self.params.replace(cursor.value()?).is_some();
            }
            _ => {
                cursor.value()?;
                self.spoilt = true;
            }
        }
        Some(())
    }

    fn into_entry(self, body: &Bytes) -> RequestEntry {
        let id = self.id.map(|raw| Id::from_raw(body.slice_ref(raw)));
        let method = self.method.filter(|_| !self.spoilt).map(inside);
        // The body was found to be UTF-8 before it was read.
        let shared = |raw| ByteString::try_from(body.slice_ref(raw)).ok();
        let Some((method, name)) = method.and_then(|raw| Some((raw, shared(raw)?))) else {
            return RequestEntry::Invalid(InvalidEntry {
                id: id.unwrap_or_else(Id::null),
                error: RpcError::invalid_request(),
                versionless: false,
            });
        };
        let params = self.params.filter(|raw| *raw != b"null");
        match id {
            // A notification is not answered, whatever it says.
            Some(id) if self.version != Some(true) => RequestEntry::Invalid(InvalidEntry {
                id,
                error: RpcError::unsupported_version(),
                versionless: true,
            }),
            id => RequestEntry::Call(Call {
                id,
                method: name,
                unescaped: method.contains(&b'\\').then(|| unescape(method).into()),
                params: params.map(|raw| body.slice_ref(raw)),
            }),
        }
    }
}

/// Reads an id: an unsigned 64-bit integer, a string or `null`.
fn identifier<'a>(token: Token, cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let value = cursor.value()?;
    match token {
        Token::String | Token::Null => Some(value),
        Token::Number => Cursor::new(value).unsigned().map(|_| value),
        Token::Object | Token::Array | Token::Bool => None,
    }
}

/// The text between the quotes of a string.
fn inside(string: &[u8]) -> &[u8] {
    string
        .get(1..string.len().saturating_sub(1))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
