//! The members of an answer of unusual shape, parsed from end to end.

use std::ops::Range;

use bytes::Bytes;

use super::error_object::ErrorObject;
use crate::jsonrpc::cursor::{Cursor, Token, unescape};

/// The members of an answer that matter.
#[derive(Default)]
pub(super) struct AnswerMembers {
    pub(super) result: Option<Range<usize>>,
    pub(super) error: Option<Box<ErrorObject>>,
    pub(super) id: Option<Range<usize>>,
    /// An error that is `null`, with one of the commas that separate it from others.
    null_error: Option<Range<usize>>,
    /// After the closing brace; `None` if the JSON is not an object.
    pub(super) end: Option<usize>,
    /// A member occurs twice, or has an impossible type.
    odd: bool,
}

impl AnswerMembers {
    /// Whether the members are those of an answer: a result or an error, once each, and not both.
    /// Some servers always write both, one of them `null`.
    pub(super) fn make_an_answer(&self, body: &[u8]) -> bool {
        let result = self.result.clone().and_then(|result| body.get(result));
        let contradictory = self.error.is_some() && result.is_some_and(|result| result != b"null");
        (self.error.is_some() || result.is_some()) && !contradictory && !self.odd
    }

    /// The answer without the `null` that some servers write as the error of a result: clients take the
    /// member itself for an error. `None` when there is nothing to leave out.
    pub(super) fn without_null_error(&self, body: &Bytes) -> Option<Bytes> {
        let null = self.null_error.clone().filter(|_| self.result.is_some())?;
        let [before, after] =
            [body.get(..null.start), body.get(null.end..)].map(Option::unwrap_or_default);
        Some(Bytes::from([before, after].concat()))
    }

    /// Reads the whole text; `None` when it is not JSON.
    pub(super) fn read(body: &Bytes) -> Option<Self> {
        let mut members = Self::default();
        let mut cursor = Cursor::new(body);
        if cursor.token()? == Token::Object {
            cursor.eat(b'{');
            let mut first = true;
            let mut errors = 0;
            loop {
                let (comma, is_first) = (cursor.position(), first);
                let Some(key) = cursor.key(first).ok()? else {
                    break;
                };
                first = false;
                let token = cursor.token()?;
                let start = cursor.position();
                let value = cursor.value()?;
                let place = start..cursor.position();
                if key == b"error" && token == Token::Null {
                    let end = place.end
                        + comma_after(body, place.end)
                            .filter(|_| is_first)
                            .unwrap_or(0);
                    members.null_error = Some(comma..end);
                }
                members.odd |= match key {
                    b"result" => members.result.replace(place).is_some(),
                    b"error" => {
                        members.error = error_object(token, value, body);
                        errors += 1;
                        errors > 1 || matches!(token, Token::Array | Token::Number | Token::Bool)
                    }
                    b"id" if matches!(token, Token::Object | Token::Array) => return None,
                    b"id" => members.id.replace(place).is_some(),
                    _ => false,
                };
            }
            members.end = Some(cursor.position());
        } else {
            cursor.value()?;
        }
        cursor.at_end().then_some(members)
    }
}

/// The length of a comma after a value, with the white space before it.
fn comma_after(body: &[u8], value: usize) -> Option<usize> {
    let rest = body.get(value..)?;
    let space = rest.len() - rest.trim_ascii_start().len();
    (rest.get(space) == Some(&b',')).then_some(space + 1)
}

/// Reads an error as leniently as providers write it: a bare string is its message, and a code may
/// be missing or a string. `null` means no error.
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
