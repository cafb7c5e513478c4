//! Exchanging the id in the last bytes of an answer, read backwards.

use std::ops::Range;

use bytes::Bytes;

use super::{Malformed, MalformedKind, answer::id_member};

/// Sends the last bytes of an answer with `id` in place of the one they end with, or as one more
/// member when they end with another.
///
/// # Errors
/// The bytes do not end an object: the answer was cut off.
pub(super) fn splice(tail: &Bytes, id: &Bytes, out: &mut Vec<Bytes>) -> Result<(), Malformed> {
    let end = tail.trim_ascii_end().len();
    let Some(text) = tail.get(..end).and_then(|text| text.strip_suffix(b"}")) else {
        return Err(Malformed::new(MalformedKind::NotJson, tail));
    };
    let (old, new) = match id_value(text) {
        Some(value) => (value, id.clone()),
        None => (text.len()..text.len(), id_member(id)),
    };
    out.push(tail.slice(..old.start));
    out.push(new);
    out.push(tail.slice(old.end..end));
    Ok(())
}

/// Where the value of a last member `"id"` stands. In JSON, bytes that read as such a member from
/// the closing brace backwards cannot be anything else: its quotes and colon leave no string open.
fn id_value(text: &[u8]) -> Option<Range<usize>> {
    let text = text.trim_ascii_end();
    let start = if let Some(inside) = text.strip_suffix(b"\"") {
        // The opening quote stands behind a colon or a space, an escaped one behind a backslash.
        let opening = |pair: &[u8]| matches!(pair, [before, b'"'] if *before != b'\\');
        inside.windows(2).rposition(opening)? + 1
    } else {
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        text.iter().rposition(|byte| !token(byte))? + 1
    };
    let key = text
        .get(..start)?
        .trim_ascii_end()
        .strip_suffix(b":")?
        .trim_ascii_end();
    let before = key.strip_suffix(b"\"id\"")?.trim_ascii_end();
    (start < text.len() && before.ends_with(b",")).then_some(start..text.len())
}

#[cfg(test)]
mod tests {
    use super::splice;
    use bytes::Bytes;

    fn spliced(tail: &'static str) -> Option<String> {
        let mut out = Vec::new();
        splice(
            &Bytes::from_static(tail.as_bytes()),
            &Bytes::from_static(b"77"),
            &mut out,
        )
        .ok()?;
        Some(String::from_utf8(out.concat()).unwrap())
    }

    #[test]
    fn the_id_is_found_from_the_end() {
        for (tail, expected) in [
            (r#"5],"id":1}"#, r#"5],"id":77}"#),
            ("5], \"id\" : null } \n", "5], \"id\" : 77 }"),
            (r#"5],"id":"1"}"#, r#"5],"id":77}"#),
            (r#"5],"id":"a\"b"}"#, r#"5],"id":77}"#),
        ] {
            assert_eq!(spliced(tail).as_deref(), Some(expected), "{tail}");
        }
    }

    #[test]
    fn a_missing_id_becomes_the_last_member() {
        for (tail, expected) in [
            (r#"{"id":5}}"#, r#"{"id":5},"id":77}"#),
            (r#""a,\"id\":1"}"#, r#""a,\"id\":1","id":77}"#),
            (r#","grid":1}"#, r#","grid":1,"id":77}"#),
            ("5]}\n", r#"5],"id":77}"#),
        ] {
            assert_eq!(spliced(tail).as_deref(), Some(expected), "{tail}");
        }
    }

    #[test]
    fn a_cut_off_answer_is_refused() {
        for tail in ["", "5]", r#""id":1"#, "\n"] {
            assert_eq!(spliced(tail), None, "{tail}");
        }
    }
}
