//! The shapes of nearly all answers: recognised by their first and last bytes, so that a long
//! result need not be parsed token by token.

use std::ops::Range;

use super::structure::one_container;
use crate::jsonrpc::cursor::Cursor;

/// How Agave's answers begin.
pub(in crate::jsonrpc) const HEAD_ID_LAST: &[u8] = br#"{"jsonrpc":"2.0","result":"#;
/// Between the result and the id.
const ID_KEY: &[u8] = br#","id":"#;
/// How the answers of most other servers begin, up to the id, and what follows it.
const HEAD_ID_FIRST: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const RESULT_KEY: &[u8] = br#","result":"#;

/// Results up to this length are parsed as JSON, which takes about 1.3 ns per byte; searching for
/// forbidden bytes takes a fiftieth of that.
const READ_WHOLE: usize = 512;
/// Recognises a result by the first and last bytes of its answer, and says where it and the id
/// stand. If what is between is one value, nothing else can be in the answer.
pub(super) fn usual_shape(text: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let inside = text.strip_suffix(b"}")?;
    let (result, id) = if text.starts_with(HEAD_ID_LAST) {
        let digits = trailing_digits(inside);
        let before = inside.get(..inside.len() - digits)?;
        let result = HEAD_ID_LAST.len()..before.strip_suffix(ID_KEY)?.len();
        (result, before.len()..inside.len())
    } else {
        let rest = inside.strip_prefix(HEAD_ID_FIRST)?;
        let digits = leading_digits(rest);
        let id = HEAD_ID_FIRST.len()..HEAD_ID_FIRST.len() + digits;
        rest.get(digits..)?.strip_prefix(RESULT_KEY)?;
        (id.end + RESULT_KEY.len()..inside.len(), id)
    };
    (!id.is_empty() && is_one_value(text.get(result.clone())?)).then_some((result, id))
}

fn trailing_digits(text: &[u8]) -> usize {
    text.iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

fn leading_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether bytes are one JSON value. In a long one only its brackets, strings, commas and colons are
/// followed, so that one that is cut, or with anything after it (`"result":{…}{…}`,
/// `"result":[],"error":…`), or `[1,,2]`, is rejected here; and it is searched for bytes that no JSON string
/// may have.
fn is_one_value(text: &[u8]) -> bool {
    let container = matches!(text.first(), Some(b'{' | b'['));
    if container && text.len() > READ_WHOLE {
        return one_container(text).is_some_and(|container| {
            (container.is_plain || has_only_allowed_bytes(text))
                && (!container.is_odd || is_json(text))
        });
    }
    is_json(text)
}

fn is_json(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    let whole = cursor
        .value()
        .is_some_and(|value| value.len() == text.len());
    whole && std::str::from_utf8(text).is_ok()
}

/// Whether there are no control characters, all escapes are valid, and all is UTF-8, for texts that are
/// not plain. White space between tokens counts as forbidden here: answers with white space are parsed
/// token by token.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "without a branch the compiler takes many bytes at once"
)]
fn has_only_allowed_bytes(text: &[u8]) -> bool {
    let control = text.iter().fold(false, |any, byte| any | (*byte < 0x20));
    !control && std::str::from_utf8(text).is_ok() && has_only_escapes_that_exist(text)
}

/// Backslashes occur only in strings, so the strings need not be found.
fn has_only_escapes_that_exist(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(found) = memchr::memchr(b'\\', rest) {
        let mut cursor = Cursor::new(rest.get(found..).unwrap_or_default());
        if cursor.escape().is_none() {
            return false;
        }
        rest = rest.get(found + cursor.position()..).unwrap_or_default();
    }
    true
}
