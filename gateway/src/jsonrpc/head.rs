//! Telling from the beginning of an answer whether it is a result or an error, before the rest has
//! arrived.

use super::cursor::{Cursor, Token};

/// What the beginning of an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A result that is not `null`.
    Result,
    /// An error that is not `null`.
    Error,
    /// Neither yet, or no JSON-RPC answer.
    Unknown,
}

/// Looks at the beginning of an answer, which may be cut off anywhere.
pub fn head_kind(head: &[u8]) -> HeadKind {
    first_telling(head).unwrap_or(HeadKind::Unknown)
}

fn first_telling(head: &[u8]) -> Option<HeadKind> {
    let mut cursor = Cursor::new(head);
    if !cursor.eat(b'{') {
        return None;
    }
    let mut first = true;
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        match (key, cursor.token()?) {
            (b"result" | b"error", Token::Null) => {}
            (b"result", _) => return Some(HeadKind::Result),
            (b"error", _) => return Some(HeadKind::Error),
            _ => {}
        }
        cursor.value()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{HeadKind, head_kind};

    #[test]
    fn the_first_telling_member_decides() {
        for (head, kind) in [
            (
                r#"{"jsonrpc":"2.0","result":{"context":{"sl"#,
                HeadKind::Result,
            ),
            (r#"{"jsonrpc":"2.0","result":["#, HeadKind::Result),
            (r#"{"id":1,"result":"QmFz"#, HeadKind::Result),
            (r#"{"jsonrpc":"2.0","error":{"code":"#, HeadKind::Error),
            (r#"{"result":null,"error":{"code":1"#, HeadKind::Error),
            (r#"{"error":null,"result":[1"#, HeadKind::Result),
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
            assert_eq!(head_kind(head.as_bytes()), kind, "{head}");
        }
    }
}
