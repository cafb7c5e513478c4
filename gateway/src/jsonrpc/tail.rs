//! Replaces the id in the last bytes of an answer, read backwards.

use std::ops::Range;

use bytes::Bytes;

use super::{MalformedAnswer, MalformedKind, RequestId};

/// Sends the last bytes of an answer with `id` in place of the id of the request.
///
/// # Errors
/// The bytes do not end an object (the answer was truncated), or they have another id, or none.
pub(super) fn splice(
    tail: &Bytes,
    id: &Bytes,
    asked: RequestId,
    out: &mut Vec<Bytes>,
) -> Result<(), MalformedAnswer> {
    let end = tail.trim_ascii_end().len();
    let Some(text) = tail.get(..end).and_then(|text| text.strip_suffix(b"}")) else {
        return Err(MalformedAnswer::new(MalformedKind::NotJson, tail));
    };
    let is_asked = |value: &Range<usize>| text.get(value.clone()).is_some_and(|id| asked.is(id));
    let found = match id_value(text) {
        Some(value) => Some(value).filter(is_asked),
        None => earlier(text, asked),
    };
    let Some(old) = found else {
        return Err(MalformedAnswer::new(MalformedKind::WrongId, tail));
    };
    out.push(tail.slice(..old.start));
    out.push(id.clone());
    out.push(tail.slice(old.end..end));
    Ok(())
}

/// Position of the request's id if other members follow it. What reads like a member with exactly
/// this number is that member; if a server repeats it further in, they cannot be told apart.
fn earlier(text: &[u8], asked: RequestId) -> Option<Range<usize>> {
    let mut found = memchr::memmem::find_iter(text, b"\"id\"").filter_map(|key| {
        let end = key + text.get(key..)?.iter().position(|byte| *byte == b',')?;
        let value = id_value(text.get(..end)?)?;
        asked.is(text.get(value.clone())?).then_some(value)
    });
    found.next().filter(|_| found.next().is_none())
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
    use super::{MalformedKind, RequestId, splice};
    use bytes::Bytes;

    fn spliced(tail: &'static str) -> Result<String, MalformedKind> {
        let mut out = Vec::new();
        let (id, asked) = (Bytes::from_static(b"77"), RequestId::from(1));
        splice(&Bytes::from_static(tail.as_bytes()), &id, asked, &mut out)
            .map_err(|malformed| malformed.kind)?;
        Ok(String::from_utf8(out.concat()).unwrap())
    }

    #[test]
    fn the_id_is_found_from_the_end() {
        for (tail, expected) in [
            (r#"5],"id":1}"#, r#"5],"id":77}"#),
            ("5], \"id\" : 1 } \n", "5], \"id\" : 77 }"),
            (r#"5],"id":"1"}"#, r#"5],"id":77}"#),
            (
                r#"5],"id":1,"usage":{"id":5}}"#,
                r#"5],"id":77,"usage":{"id":5}}"#,
            ),
        ] {
            assert_eq!(spliced(tail).as_deref(), Ok(expected), "{tail}");
        }
    }

    #[test]
    fn another_id_and_none_at_all_are_refused() {
        for tail in [
            r#"5],"id":2}"#,
            r#"5],"id":11}"#,
            r#"5],"id":1,"usage":{"of":2,"id":1,"calls":3}}"#,
            r#"5],"id":null}"#,
            r#"5],"id":"a\"b"}"#,
            r#"{"id":5}}"#,
            r#"{"id":1}}"#,
            r#""a,\"id\":1"}"#,
            r#","grid":1}"#,
            "5]}\n",
        ] {
            assert_eq!(spliced(tail), Err(MalformedKind::WrongId), "{tail}");
        }
    }

    #[test]
    fn a_cut_off_answer_is_refused() {
        for tail in ["", "5]", r#""id":1"#, "\n"] {
            assert_eq!(spliced(tail), Err(MalformedKind::NotJson), "{tail}");
        }
    }
}
