//! Writes a configuration object canonically: without members that have no effect, in the order of
//! its keys.

use perijove_core::Commitment;

use super::{
    parameters::KnownMember,
    spelling::{Spans, Spelling},
};
use crate::{
    jsonrpc::{Cursor, Token},
    solana::{Class, CommitmentRule},
};

/// A member that applies although it was not given: its name and its value, a string.
pub(super) type Implied = (&'static str, &'static str);

/// Writes the configuration at the cursor, or that there is none if nothing of it is left. Without
/// a cursor only implied members exist.
pub(super) fn config(
    spelling: &mut Spelling,
    class: &Class,
    known: &[KnownMember],
    implied: Option<Implied>,
    cursor: Option<&mut Cursor<'_>>,
) -> Option<()> {
    let mut config = ConfigSpelling {
        start: spelling.open(),
        spelling,
        class,
        known,
        implied,
        spans: Spans::default(),
        seen: 0,
        understood: cursor.is_none() || class.profile().commitment != CommitmentRule::Bare,
    };
    if let Some(cursor) = cursor {
        cursor.eat(b'{');
        let mut first = true;
        while let Some(key) = cursor.key(first).ok()? {
            first = false;
            config.member(key, cursor)?;
        }
    }
    config.finish()
}

/// A configuration being written.
struct ConfigSpelling<'a> {
    spelling: &'a mut Spelling,
    start: usize,
    class: &'a Class,
    known: &'a [KnownMember],
    /// Cleared when it was given.
    implied: Option<Implied>,
    spans: Spans,
    /// The known members seen so far, one bit each: repetitions of omitted ones would not be
    /// noticed otherwise.
    seen: u32,
    /// Whether the object may be left out: an object in place of a bare commitment is refused if it
    /// has none.
    understood: bool,
}

/// Bits of `seen` for the members most methods have; the others follow.
const COMMITMENT: u32 = 0;
const MIN_CONTEXT_SLOT: u32 = 1;
const KNOWN: u32 = 2;

impl ConfigSpelling<'_> {
    fn member(&mut self, key: &[u8], cursor: &mut Cursor<'_>) -> Option<()> {
        let token = cursor.token()?;
        let start = self.spelling.length();
        let name = self.spelling.text(key);
        let value = self.spelling.length();
        let known = self.bit_of(self.spelling.since(name));
        if let Some(bit) = known {
            if self.seen & (1 << bit) != 0 {
                return None;
            }
            self.seen |= 1 << bit;
        }
        // The class compares keys as they are written.
        let escaped = key.contains(&b'\\');
        if let Some(bit @ (COMMITMENT | MIN_CONTEXT_SLOT)) = known.filter(|_| !escaped) {
            let before = cursor.clone();
            let raw = cursor.value()?;
            if self.is_in_class(bit, token, raw) {
                self.spelling.cut(start);
                return Some(());
            }
            *cursor = before;
        }
        self.spelling.value(cursor)?;
        let row = known
            .and_then(|bit| bit.checked_sub(KNOWN))
            .and_then(|row| self.known.get(row as usize));
        if let Some(row) = row.filter(|_| token != Token::Null) {
            self.implied = self.implied.filter(|(name, _)| *name != row.name);
        }
        let means_nothing = row.is_some_and(|row| {
            (token == Token::Null && row.null_is_absent)
                || row.is_default(self.spelling.since(value))
        });
        if means_nothing {
            self.spelling.cut(start);
        } else {
            self.spans.push(start..self.spelling.length(), value);
        }
        Some(())
    }

    fn bit_of(&self, name: &[u8]) -> Option<u32> {
        match name {
            b"commitment" => Some(COMMITMENT),
            b"minContextSlot" => Some(MIN_CONTEXT_SLOT),
            _ => {
                let row = self.known.iter().position(|known| known.is(name))?;
                Some(KNOWN + u32::try_from(row).ok()?)
            }
        }
    }

    /// Whether a commitment or slot is in the class already, or none is given.
    fn is_in_class(&mut self, bit: u32, token: Token, raw: &[u8]) -> bool {
        let profile = self.class.profile();
        if bit == MIN_CONTEXT_SLOT {
            return profile.min_context_slot
                && (token == Token::Null || Cursor::new(raw).unsigned().is_some());
        }
        let flattened = match profile.commitment {
            CommitmentRule::Flattened => true,
            CommitmentRule::Bare => false,
            CommitmentRule::None | CommitmentRule::Preflight => return false,
        };
        match token {
            Token::Null => flattened,
            // An unknown level counts as absent where the commitment is flattened, and is refused
            // where it is bare. A level written with escapes is known to the node, but not to the
            // class.
            Token::String => {
                let named = level(raw).is_some();
                self.understood |= named;
                named || (flattened && !raw.contains(&b'\\'))
            }
            _ => false,
        }
    }

    fn finish(mut self) -> Option<()> {
        if let Some((name, text)) = self.implied {
            let start = self.spelling.length();
            self.spelling.text(name.as_bytes());
            let value = self.spelling.length();
            self.spelling.text(text.as_bytes());
            self.spans.push(start..self.spelling.length(), value);
        }
        if self.spans.is_empty() && self.understood {
            self.spelling.cut(self.start);
            self.spelling.no_config();
            return Some(());
        }
        self.spelling.sort(self.spans)?;
        self.spelling.close();
        Some(())
    }
}

/// The level of a string, read as the class reads it.
fn level(raw: &[u8]) -> Option<Commitment> {
    let inside = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Commitment::parse(std::str::from_utf8(inside).ok()?)
}
