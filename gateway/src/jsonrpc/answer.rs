//! One complete answer of an upstream: the positions of its result, error and id, and whether it
//! answers the request.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Id, RequestId, Template};

mod error_object;
mod members;
mod shape;
mod structure;

pub use error_object::ErrorObject;
use members::AnswerMembers;
pub(super) use shape::HEAD_ID_LAST;
use shape::usual_shape;

/// Why a body is not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedKind {
    /// No bytes.
    Empty,
    /// Not JSON, or cut off.
    NotJson,
    /// JSON, but no JSON-RPC answer.
    NotAnAnswer,
    /// The answer to another request, or a result without an id.
    WrongId,
}

/// A body that is not an answer, with its beginning: some providers state their refusals there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON-RPC answer ({kind:?})")]
pub struct MalformedAnswer {
    /// What is wrong.
    pub kind: MalformedKind,
    /// At most the first 512 bytes.
    pub excerpt: Bytes,
}

impl MalformedAnswer {
    /// Keeps the beginning of `body`.
    pub(super) fn new(kind: MalformedKind, body: &Bytes) -> Self {
        Self {
            kind,
            excerpt: body.slice(..body.len().min(512)),
        }
    }
}

/// A complete answer, scanned.
#[derive(Clone, Debug)]
pub struct Answer {
    body: Bytes,
    result: Option<Range<usize>>,
    error: Option<Box<ErrorObject>>,
    id: IdPosition,
}

/// Where the caller's id is inserted.
#[derive(Clone, Debug)]
enum IdPosition {
    /// In place of these bytes; the second position ends the object.
    Instead(Range<usize>, usize),
    /// Before the brace at this position.
    Before(usize),
}

impl Answer {
    /// Scans a complete body, whatever request it answers.
    ///
    /// The shapes of Agave and of most providers, the id last or before the result, are recognised
    /// by their ends. A short result is parsed as JSON; a long one is only searched for what would
    /// break every reader: bytes that no string may have.
    ///
    /// # Errors
    /// The body is not a JSON-RPC answer.
    pub fn scan(body: Bytes) -> Result<Self, MalformedAnswer> {
        let end = body.trim_ascii_end().len();
        let text = body.get(..end).unwrap_or_default();
        if let Some((result, id)) = usual_shape(text) {
            return Ok(Self {
                body,
                result: Some(result),
                error: None,
                id: IdPosition::Instead(id, end),
            });
        }
        Self::scan_all(body)
    }

    /// Scans the complete body that answers a request.
    ///
    /// An error may have no id, or `null`: servers answer so if they could not read the request,
    /// and proxies before them do not read it at all; whether such an error concerns this call is
    /// decided elsewhere. A result without the id may belong to any call.
    ///
    /// # Errors
    /// The body is not a JSON-RPC answer, or not one to this request.
    pub fn scan_reply(body: Bytes, asked: RequestId) -> Result<Self, MalformedAnswer> {
        let answer = Self::scan(body)?;
        let named = answer.raw_id().is_some_and(|id| asked.is(id));
        if named || (answer.error.is_some() && answer.is_anonymous()) {
            Ok(answer)
        } else {
            Err(MalformedAnswer::new(MalformedKind::WrongId, &answer.body))
        }
    }

    fn scan_all(body: Bytes) -> Result<Self, MalformedAnswer> {
        if body.trim_ascii().is_empty() {
            return Err(MalformedAnswer::new(MalformedKind::Empty, &body));
        }
        if std::str::from_utf8(&body).is_err() {
            return Err(MalformedAnswer::new(MalformedKind::NotJson, &body));
        }
        let Some(found) = AnswerMembers::read(&body) else {
            return Err(MalformedAnswer::new(MalformedKind::NotJson, &body));
        };
        let Some(end) = found.end.filter(|_| found.make_an_answer(&body)) else {
            return Err(MalformedAnswer::new(MalformedKind::NotAnAnswer, &body));
        };
        if let Some(without) = found.without_null_error(&body) {
            return Self::scan(without);
        }
        let id = match found.id {
            Some(id) => IdPosition::Instead(id, end),
            None => IdPosition::Before(end - 1),
        };
        let result = found.result.filter(|_| found.error.is_none());
        Ok(Self {
            body,
            result,
            error: found.error,
            id,
        })
    }

    /// The raw JSON of the result, or `None` when the answer is an error.
    pub fn result(&self) -> Option<&[u8]> {
        self.body.get(self.result.clone()?)
    }

    /// The error, or `None` when the answer is a result.
    pub fn error(&self) -> Option<&ErrorObject> {
        self.error.as_deref()
    }

    /// Whether it has no id.
    pub fn is_anonymous(&self) -> bool {
        self.raw_id().is_none_or(|id| id == b"null")
    }

    /// Whether its id is `null`, as JSON-RPC requires for requests that could not be read.
    pub fn has_null_id(&self) -> bool {
        self.raw_id() == Some(b"null")
    }

    /// The raw JSON of the upstream's id.
    fn raw_id(&self) -> Option<&[u8]> {
        match &self.id {
            IdPosition::Instead(id, _) => self.body.get(id.clone()),
            IdPosition::Before(_) => None,
        }
    }

    /// The whole body as the upstream sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The answer with `id` in place of the upstream's, as three pieces to be sent one after the
    /// other. Nothing else changes except trailing white space, which is removed. An answer without
    /// an id gets one as its last member.
    pub fn splice(&self, id: &Id) -> [Bytes; 3] {
        match &self.id {
            IdPosition::Instead(old, end) => [
                self.body.slice(..old.start),
                id.to_bytes(),
                self.body.slice(old.end..*end),
            ],
            IdPosition::Before(brace) => [
                self.body.slice(..*brace),
                id_member(id.as_bytes()),
                self.body.slice(*brace..=*brace),
            ],
        }
    }
}

impl Answer {
    /// The answer without its id, copied to an allocation of its exact size: the original buffer
    /// may be much larger.
    pub fn template(&self) -> Template {
        let (head, key, tail, removed): (_, &[u8], _, _) = match &self.id {
            IdPosition::Instead(old, end) => (..old.start, b"", old.end..*end, old.len()),
            IdPosition::Before(brace) => (..*brace, ID_KEY, *brace..*brace + 1, 0),
        };
        let [head, tail] =
            [self.body.get(head), self.body.get(tail)].map(Option::unwrap_or_default);
        // What follows the id moves forward.
        let result = self.result.clone().map(|result| {
            if result.start < head.len() {
                result
            } else {
                result.start - removed..result.end - removed
            }
        });
        let gap = head.len() + key.len();
        let body = Bytes::from([head, key, tail].concat());
        Template::new(body, gap, result)
    }

    /// The same as [`Self::splice`] in one piece, without copying the answer if its id is last and
    /// nothing else shares its bytes: the usual case.
    pub fn into_spliced(self, id: &Id) -> Bytes {
        let (head, key, tail): (_, &[u8], _) = match self.id {
            IdPosition::Instead(old, end) => (old.start, b"", old.end..end),
            IdPosition::Before(brace) => (brace, ID_KEY, brace..brace + 1),
        };
        // A copy, since it is overwritten; usually a brace.
        let (id, tail) = (
            id.as_bytes(),
            self.body.get(tail).unwrap_or_default().to_vec(),
        );
        let mut spliced = match self.body.try_into_mut() {
            Ok(mut owned) => {
                owned.truncate(head);
                owned
            }
            Err(shared) => {
                let length = head + key.len() + id.len() + tail.len();
                let mut copy = BytesMut::with_capacity(length + 1);
                copy.put_slice(shared.get(..head).unwrap_or_default());
                copy
            }
        };
        spliced.put_slice(key);
        spliced.put_slice(id);
        spliced.put_slice(&tail);
        spliced.freeze()
    }
}

/// Precedes the id added to answers without one.
const ID_KEY: &[u8] = br#","id":"#;

/// `,"id":…`, for answers that come without one.
fn id_member(id: &[u8]) -> Bytes {
    let mut member = BytesMut::with_capacity(ID_KEY.len() + id.len());
    member.put_slice(ID_KEY);
    member.put_slice(id);
    member.freeze()
}

#[cfg(test)]
mod tests;
