//! Two incomplete answers to one question about history have more together than either: the own node
//! knows the newest, an archive the oldest.

use std::collections::{BTreeSet, HashSet};

use super::params;
use super::subject::History;
use crate::jsonrpc::Cursor;

/// What two results say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The result, as raw JSON.
    pub result: Vec<u8>,
    /// Whether it says more than the first one.
    pub gained: bool,
}

impl History {
    /// Merges the result of an upstream with little history and of one with more, for methods whose
    /// results are lists. `None` for the others, and for what is not as expected.
    pub fn merge(self, params: Option<&[u8]>, first: &[u8], deeper: &[u8]) -> Option<Merged> {
        let params = params.unwrap_or_default();
        match self {
            Self::Statuses => statuses(first, deeper),
            Self::Page => page(params, first, deeper),
            Self::Blocks => blocks(first, deeper, usize::MAX),
            Self::BlocksWithLimit => {
                let limit = params::number(params, 1)?;
                blocks(first, deeper, usize::try_from(limit).ok()?)
            }
            Self::Transaction
            | Self::Block
            | Self::BlockTime
            | Self::Commitment
            | Self::Rewards => None,
        }
    }
}

/// The deeper answer, with the first one's statuses where it has none.
fn statuses(first: &[u8], deeper: &[u8]) -> Option<Merged> {
    let known = items(Cursor::new(first).member(b"value")?)?;
    let found = items(Cursor::new(deeper).member(b"value")?)?;
    if known.len() != found.len() {
        return None;
    }
    let is_null = |status: &[u8]| status == b"null";
    let pairs = || known.iter().zip(&found);
    let gained = pairs().any(|(known, found)| is_null(known) && !is_null(found));
    let merged = pairs().map(|(known, found)| if is_null(found) { *known } else { *found });
    let mut cursor = Cursor::new(deeper);
    let context = cursor.member(b"context")?.value()?;
    let result = [
        br#"{"context":"#,
        context,
        br#","value":"#,
        &list(merged),
        b"}",
    ]
    .concat();
    Some(Merged { result, gained })
}

/// The deeper page, behind what the first one has of later slots.
fn page(params: &[u8], first: &[u8], deeper: &[u8]) -> Option<Merged> {
    let (known, found) = (
        items(&mut Cursor::new(first))?,
        items(&mut Cursor::new(deeper))?,
    );
    let signatures: Option<HashSet<&[u8]>> = found.iter().map(|item| signature(item)).collect();
    let (signatures, newest) = (signatures?, found.first().map(|item| slot(item)));
    // A page begins with the newest slot.
    let mut merged = Vec::with_capacity(known.len() + found.len());
    for item in &known {
        let is_later = newest.is_none_or(|newest| slot(item) > newest);
        if !is_later || signatures.contains(signature(item)?) {
            break;
        }
        merged.push(*item);
    }
    merged.extend(&found);
    merged.truncate(params::limit(params));
    Some(Merged {
        gained: merged.len() > known.len(),
        result: list(merged),
    })
}

/// The slots of both lists, at most `limit`.
fn blocks(first: &[u8], deeper: &[u8], limit: usize) -> Option<Merged> {
    let (known, found) = (slots(first)?, slots(deeper)?);
    let merged: Vec<u64> = (&known | &found).into_iter().take(limit).collect();
    Some(Merged {
        gained: !merged.iter().eq(&known),
        result: serde_json::to_vec(&merged).ok()?,
    })
}

fn slots(result: &[u8]) -> Option<BTreeSet<u64>> {
    serde_json::from_slice(result).ok()
}

/// The items of an array, as raw JSON.
fn items<'a>(cursor: &mut Cursor<'a>) -> Option<Vec<&'a [u8]>> {
    if !cursor.eat(b'[') {
        return None;
    }
    let mut items = Vec::new();
    while cursor.item(items.is_empty()).ok()? {
        items.push(cursor.value()?);
    }
    Some(items)
}

fn list<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let items: Vec<&[u8]> = items.into_iter().collect();
    [b"[", items.join(&b","[..]).as_slice(), b"]"].concat()
}

fn signature(item: &[u8]) -> Option<&[u8]> {
    Cursor::new(item).member(b"signature")?.string()
}

fn slot(item: &[u8]) -> Option<u64> {
    Cursor::new(item).member(b"slot")?.unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(history: History, params: &str, first: &str, deeper: &str) -> Option<(String, bool)> {
        let both = history.merge(Some(params.as_bytes()), first.as_bytes(), deeper.as_bytes())?;
        Some((String::from_utf8(both.result).unwrap(), both.gained))
    }

    #[test]
    fn each_status_is_from_the_upstream_that_has_it() {
        for (first, deeper, expected, gained) in [
            ("[null,2,null]", "[1,null,null]", "[1,2,null]", true),
            ("[0,null,null]", "[null,1,2]", "[0,1,2]", true),
            ("[0,null]", "[null,null]", "[0,null]", false),
            ("[0,null]", "[5,null]", "[5,null]", false),
            ("[]", "[]", "[]", false),
        ] {
            let wrap = |slot, value| format!(r#"{{"context":{{"slot":{slot}}},"value":{value}}}"#);
            let (first, deeper) = (wrap(7, first), wrap(8, deeper));
            let expected = (wrap(8, expected), gained);
            let merged = merged(History::Statuses, "[]", &first, &deeper);
            assert_eq!(merged, Some(expected), "{first} {deeper}");
        }
        let odd = r#"{"context":{"slot":7},"value":[null]}"#;
        let even = r#"{"context":{"slot":7},"value":[1,2]}"#;
        assert_eq!(merged(History::Statuses, "[]", odd, even), None);
    }

    #[test]
    fn a_page_begins_with_what_the_archive_has_not_got_yet() {
        let page = |slots: &[u64]| {
            let item = |slot: &u64| format!(r#"{{"signature":"s{slot}","slot":{slot}}}"#);
            let items: Vec<String> = slots.iter().map(item).collect();
            format!("[{}]", items.join(","))
        };
        for (limit, first, deeper, expected, gained) in [
            (
                9,
                &[30, 29, 28][..],
                &[28, 3, 2][..],
                &[30, 29, 28, 3, 2][..],
                true,
            ),
            (4, &[30, 29, 28], &[28, 3, 2], &[30, 29, 28, 3], true),
            (9, &[30, 29], &[], &[30, 29], false),
            (9, &[], &[3, 2], &[3, 2], true),
            (9, &[29, 28], &[30, 29, 28, 3], &[30, 29, 28, 3], true),
            (9, &[29], &[29], &[29], false),
        ] {
            let params = format!(r#"["a",{{"limit":{limit}}}]"#);
            let merged = merged(History::Page, &params, &page(first), &page(deeper));
            assert_eq!(
                merged,
                Some((page(expected), gained)),
                "{first:?} {deeper:?}"
            );
        }
    }

    #[test]
    fn a_list_of_blocks_has_those_of_both() {
        for (history, first, deeper, expected, gained) in [
            (History::Blocks, "[8,9]", "[5,6,8]", "[5,6,8,9]", true),
            (History::Blocks, "[8,9]", "[8]", "[8,9]", false),
            (History::Blocks, "[8]", "[]", "[8]", false),
            // As many, and yet others.
            (
                History::BlocksWithLimit,
                "[81,82,83]",
                "[8,9,10]",
                "[8,9,10]",
                true,
            ),
            (
                History::BlocksWithLimit,
                "[8,9,10]",
                "[9,10,11]",
                "[8,9,10]",
                false,
            ),
        ] {
            let merged = merged(history, "[7,3]", first, deeper);
            assert_eq!(
                merged,
                Some((expected.to_owned(), gained)),
                "{first} {deeper}"
            );
        }
    }

    #[test]
    fn what_is_one_thing_is_not_merged() {
        assert_eq!(merged(History::Block, "[7]", "null", "null"), None);
        assert_eq!(merged(History::Blocks, "[7]", "[8]", r#"["x"]"#), None);
        assert_eq!(merged(History::Page, r#"["a"]"#, "[{}]", "[1]"), None);
    }
}
