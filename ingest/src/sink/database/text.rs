//! Text from a chain on which anybody may write anything.

use std::borrow::Cow;

/// Most characters of a symbol or a name of a protocol.
const MOST: usize = 64;

/// Without the character that PostgreSQL cannot store, and cut.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    shorten(text, MOST)
}

/// The text of an error, cut less.
pub(super) fn told(text: &str) -> Cow<'_, str> {
    shorten(text, 2000)
}

fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !text.contains('\0') {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter(|character| *character != '\0');
    Cow::Owned(kept.take(most).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_loses_what_cannot_be_stored() {
        for (text, expected) in [
            ("BONK", "BONK"),
            ("BO\0NK\0", "BONK"),
            ("ä", "ä"),
            (&"ä".repeat(99), &*"ä".repeat(MOST)),
            (&"x".repeat(99), &*"x".repeat(MOST)),
        ] {
            assert_eq!(clean(text), expected);
        }
    }
}
