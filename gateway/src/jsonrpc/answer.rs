//! One complete answer of an upstream: where its result, error and id stand. The usual shapes are
//! recognised by their first and last bytes, without reading what lies between; any other is
//! scanned from end to end.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Id, Template,
    cursor::{Cursor, Token, unescape},
};

/// The error member of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorObject {
    /// The code; 0 when the upstream gave none.
    pub code: i64,
    /// The message, unescaped; empty when the upstream gave none.
    pub message: String,
    /// Raw JSON of the `data` member.
    pub data: Option<Bytes>,
}

/// Why a body is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedKind {
    /// No bytes.
    Empty,
    /// Not JSON, or cut off.
    NotJson,
    /// JSON, but no JSON-RPC answer.
    NotAnAnswer,
}

/// A body that is no answer, with its beginning: some providers say there what they refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON-RPC answer ({kind:?})")]
pub struct Malformed {
    /// What is wrong.
    pub kind: MalformedKind,
    /// At most the first 512 bytes.
    pub excerpt: Bytes,
}

impl Malformed {
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
    id: Place,
}

/// Where the caller's id goes.
#[derive(Clone, Debug)]
enum Place {
    /// In place of these bytes; the second position ends the object.
    Instead(Range<usize>, usize),
    /// Before the brace at this position.
    Before(usize),
}

/// How Agave's answers begin and end.
pub(super) const HEAD_ID_LAST: &[u8] = br#"{"jsonrpc":"2.0","result":"#;
const TAIL_ID_LAST: &[u8] = br#","id":1}"#;
/// How the answers of most other servers begin, and where the id stands in them.
const HEAD_ID_FIRST: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":"#;
const ID_FIRST: Range<usize> = 22..23;

impl Answer {
    /// Scans a complete body.
    ///
    /// The shapes of Agave and of most providers, the id last or before the result, cost the same
    /// whatever the size; what the result holds is not checked then.
    ///
    /// # Errors
    /// The body is no JSON-RPC answer.
    pub fn scan(body: Bytes) -> Result<Self, Malformed> {
        let end = body.trim_ascii_end().len();
        if let Some((result, id)) = usual_shape(&body, end) {
            return Ok(Self {
                body,
                result: Some(result),
                error: None,
                id,
            });
        }
        Self::scan_all(body)
    }

    fn scan_all(body: Bytes) -> Result<Self, Malformed> {
        if body.trim_ascii().is_empty() {
            return Err(Malformed::new(MalformedKind::Empty, &body));
        }
        let Some(found) = Members::read(&body) else {
            return Err(Malformed::new(MalformedKind::NotJson, &body));
        };
        let Some(end) = found
            .end
            .filter(|_| found.error.is_some() || found.result.is_some())
        else {
            return Err(Malformed::new(MalformedKind::NotAnAnswer, &body));
        };
        let id = match found.id {
            Some(id) => Place::Instead(id, end),
            None => Place::Before(end - 1),
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

    /// The whole body as the upstream sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The answer with `id` in place of the upstream's, as three pieces to be sent one after the
    /// other. Nothing else changes but white space at the end, which goes. An answer without an id
    /// gets one as its last member.
    pub fn splice(&self, id: &Id) -> [Bytes; 3] {
        match &self.id {
            Place::Instead(old, end) => [
                self.body.slice(..old.start),
                id.to_bytes(),
                self.body.slice(old.end..*end),
            ],
            Place::Before(brace) => [
                self.body.slice(..*brace),
                id_member(id.as_bytes()),
                self.body.slice(*brace..=*brace),
            ],
        }
    }
}

impl Answer {
    /// The answer without its id, copied into as many bytes as it needs: what it was read into may
    /// be much larger.
    pub fn template(&self) -> Template {
        let (head, key, tail, removed): (_, &[u8], _, _) = match &self.id {
            Place::Instead(old, end) => (..old.start, b"", old.end..*end, old.len()),
            Place::Before(brace) => (..*brace, ID_KEY, *brace..*brace + 1, 0),
        };
        let [head, tail] =
            [self.body.get(head), self.body.get(tail)].map(Option::unwrap_or_default);
        // Behind the id everything moves up into its place.
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

    /// The same as [`Self::splice`] in one piece, without copying the answer where its id stands
    /// last and nobody else holds its bytes: the usual case.
    pub fn into_spliced(self, id: &Id) -> Bytes {
        let (head_length, id, tail) = {
            let [head, id, tail] = self.splice(id);
            // The pieces share the allocation and must be gone before it is written to.
            (head.len(), id, Bytes::copy_from_slice(&tail))
        };
        drop(self.error);
        let mut spliced = match self.body.try_into_mut() {
            Ok(mut owned) => {
                owned.truncate(head_length);
                owned
            }
            Err(shared) => {
                let mut copy = BytesMut::with_capacity(head_length + id.len() + tail.len() + 1);
                copy.put_slice(shared.get(..head_length).unwrap_or_default());
                copy
            }
        };
        spliced.put_slice(&id);
        spliced.put_slice(&tail);
        spliced.freeze()
    }
}

/// What stands before the id of answers that come without one.
const ID_KEY: &[u8] = br#","id":"#;

/// `,"id":…`, for answers that come without one.
pub(super) fn id_member(id: &[u8]) -> Bytes {
    let mut member = BytesMut::with_capacity(ID_KEY.len() + id.len());
    member.put_slice(ID_KEY);
    member.put_slice(id);
    member.freeze()
}

/// Recognises a result by the first and last bytes of its answer. In JSON that begins like
/// [`HEAD_ID_LAST`], [`TAIL_ID_LAST`] can only be the object's last member: within a nested object
/// another brace would follow, and within a string a quote.
fn usual_shape(body: &Bytes, end: usize) -> Option<(Range<usize>, Place)> {
    let text = body.get(..end)?;
    let (result, id) = if text.starts_with(HEAD_ID_LAST) && text.ends_with(TAIL_ID_LAST) {
        let id = end - 2..end - 1;
        (HEAD_ID_LAST.len()..end - TAIL_ID_LAST.len(), id)
    } else if text.starts_with(HEAD_ID_FIRST) && text.ends_with(b"}") {
        (HEAD_ID_FIRST.len()..end - 1, ID_FIRST)
    } else {
        return None;
    };
    is_one_value(text.get(result.clone())?).then_some((result, Place::Instead(id, end)))
}

/// Whether bytes look like one whole JSON value, by both their ends: keeps a cut-off answer or one
/// with more members after the result (`"result":null,"error":…`) out of the quick path.
fn is_one_value(text: &[u8]) -> bool {
    match (text.first(), text.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) => true,
        (Some(b'"' | b'n' | b't' | b'f' | b'-' | b'0'..=b'9'), Some(_)) => {
            let mut cursor = Cursor::new(text);
            cursor
                .value()
                .is_some_and(|value| value.len() == text.len())
        }
        _ => false,
    }
}

/// The members of an answer that matter.
#[derive(Default)]
struct Members {
    result: Option<Range<usize>>,
    error: Option<Box<ErrorObject>>,
    id: Option<Range<usize>>,
    /// Behind the closing brace; `None` when the JSON is no object.
    end: Option<usize>,
}

impl Members {
    /// Reads the whole text; `None` when it is not JSON.
    fn read(body: &Bytes) -> Option<Self> {
        let mut members = Self::default();
        let mut cursor = Cursor::new(body);
        if cursor.token()? == Token::Object {
            cursor.eat(b'{');
            let mut first = true;
            while let Some(key) = cursor.key(first).ok()? {
                first = false;
                let token = cursor.token()?;
                let start = cursor.position();
                let value = cursor.value()?;
                let place = start..cursor.position();
                match key {
                    b"result" => members.result = Some(place),
                    b"error" => members.error = error_object(token, value, body),
                    b"id" if matches!(token, Token::Object | Token::Array) => return None,
                    b"id" => members.id = Some(place),
                    _ => {}
                }
            }
            members.end = Some(cursor.position());
        } else {
            cursor.value()?;
        }
        cursor.at_end().then_some(members)
    }
}

/// Reads an error as leniently as providers write it: a bare string is its message, and a code may
/// be missing or a string. `null` is no error.
fn error_object(token: Token, value: &[u8], body: &Bytes) -> Option<Box<ErrorObject>> {
    let mut error = ErrorObject::default();
    match token {
        Token::Null => return None,
        Token::String => error.message = string(value),
        Token::Object => {
            // Read once already, so it is JSON.
            _ = error_members(&mut error, value, body);
        }
        Token::Array | Token::Number | Token::Bool => {}
    }
    Some(Box::new(error))
}

fn error_members(error: &mut ErrorObject, value: &[u8], body: &Bytes) -> Option<()> {
    let mut cursor = Cursor::new(value);
    cursor.eat(b'{');
    let mut first = true;
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        let token = cursor.token()?;
        let value = cursor.value()?;
        match (key, token) {
            (b"code", Token::Number | Token::String) => {
                error.code = string(value).parse().unwrap_or_default();
            }
            (b"message", Token::String) => error.message = string(value),
            (b"data", Token::Null) => {}
            (b"data", _) => error.data = Some(body.slice_ref(value)),
            _ => {}
        }
    }
    Some(())
}

/// The characters of a string, or the digits of a number.
fn string(value: &[u8]) -> String {
    let inside = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value);
    if inside.contains(&b'\\') {
        unescape(inside)
    } else {
        String::from_utf8_lossy(inside).into_owned()
    }
}

#[cfg(test)]
mod tests;
