//! Tells from the beginning of an answer whether it is a result or an error, before the rest has
//! arrived.

use super::RequestId;
use super::cursor::{Cursor, Token};

/// What the beginning of an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A result of this kind that is not `null`.
    Result(Token),
    /// An error that is not `null`.
    Error,
    /// The answer to another request.
    Foreign,
    /// Neither yet, or no JSON-RPC answer.
    Unknown,
}

/// Reads the beginning of an answer to `asked`, which may be cut off anywhere. Its id is compared
/// if it precedes the result; otherwise the [`Splicer`](super::Splicer) compares it at the end.
pub fn head_kind(head: &[u8], asked: RequestId) -> HeadKind {
    first_telling(head, asked).unwrap_or(HeadKind::Unknown)
}

fn first_telling(head: &[u8], asked: RequestId) -> Option<HeadKind> {
    let mut cursor = Cursor::new(head);
    if !cursor.eat(b'{') {
        return None;
    }
    let mut first = true;
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        match (key, cursor.token()?) {
            (b"result" | b"error", Token::Null) => {}
            (b"result", token) => return Some(HeadKind::Result(token)),
            (b"error", _) => return Some(HeadKind::Error),
            (b"id", _) if !asked.is(cursor.value()?) => return Some(HeadKind::Foreign),
            (b"id", _) => continue,
            _ => {}
        }
        cursor.value()?;
    }
    None
}

/// The result in the beginning of an answer, as far as it is there.
pub fn result_head(head: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(head);
    let found = cursor.member(b"result")?;
    found.space();
    head.get(found.position()..)
}

#[cfg(test)]
mod tests {
    use super::{HeadKind, head_kind, result_head};
    use crate::jsonrpc::{RequestId, Token};

    #[test]
    fn a_result_is_found_as_far_as_it_has_come() {
        for (head, result) in [
            (r#"{"jsonrpc":"2.0","result": {"a":[1"#, Some(r#"{"a":[1"#)),
            (r#"{"id":"x","result":7}"#, Some("7}")),
            (r#"{"id":{"result":1},"jsonrpc":"2.0"}"#, None),
            (r#"{"jsonrpc":"2.0","error":{"code":1}"#, None),
            (r#"["result"]"#, None),
            ("", None),
        ] {
            let found = result_head(head.as_bytes());
            assert_eq!(found, result.map(str::as_bytes), "{head}");
        }
    }

    #[test]
    fn the_first_telling_member_decides() {
        for (head, kind) in [
            (
                r#"{"jsonrpc":"2.0","result":{"context":{"sl"#,
                HeadKind::Result(Token::Object),
            ),
            (
                r#"{"jsonrpc":"2.0","result":["#,
                HeadKind::Result(Token::Array),
            ),
            (r#"{"id":1,"result":"QmFz"#, HeadKind::Result(Token::String)),
            (r#"{"id":2,"result":"QmFz"#, HeadKind::Foreign),
            (r#"{"id":null,"error":{"code":1"#, HeadKind::Foreign),
            (r#"{"jsonrpc":"2.0","error":{"code":"#, HeadKind::Error),
            (r#"{"result":null,"error":{"code":1"#, HeadKind::Error),
            (
                r#"{"error":null,"result":[1"#,
                HeadKind::Result(Token::Array),
            ),
            (r#"{"jsonrpc":"2.0","result":"#, HeadKind::Unknown),
            (r#"{"jsonrpc":"2.0","res"#, HeadKind::Unknown),
            (
                r#"{"jsonrpc":"2.0","result":null,"id":1}"#,
                HeadKind::Unknown,
            ),
            (r#"[{"result":1}]"#, HeadKind::Unknown),
            ("<html>", HeadKind::Unknown),
            ("", HeadKind::Unknown),
        ] {
            assert_eq!(
                head_kind(head.as_bytes(), RequestId::from(1)),
                kind,
                "{head}"
            );
        }
    }
}
