//! Writes canonical bytes. The first byte of every value states its type, and its end is
//! recognisable, so that the bytes can be decoded in one way only and are never the prefix of
//! others.
//!
//! ```text
//! call    = text "[" value* "]" (object | ".")     method, parameters, configuration or none
//! value   = "n" | "t" | "f" | number | text | array | object
//! number  = its own characters ","
//! text    = '"' length bytes                       unescaped; the length in LEB128
//! array   = "[" value* "]"
//! object  = "{" (text value)* "}"                  in the order of the written keys
//! ```

use std::ops::Range;

use smallvec::SmallVec;

use crate::{
    jsonrpc::{Cursor, Token, unescape},
    solana::Method,
};

/// Nesting within one parameter. Solana's calls need four; deeper ones have no canonical form.
const MAX_DEPTH: u32 = 16;

/// Position of a written member: its key, and all of it.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    value: usize,
    end: usize,
}

/// The members of one object while it is written. Most have fewer.
#[derive(Debug, Default)]
pub(super) struct Spans(SmallVec<[Span; 8]>);

impl Spans {
    /// Notes a member: where it starts, where its value does, and where it ends.
    pub(super) fn push(&mut self, member: Range<usize>, value: usize) {
        self.0.push(Span {
            start: member.start,
            value,
            end: member.end,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A call being written. Reading returns `None` if the text is not JSON, or is ambiguous JSON.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    out: Vec<u8>,
}

impl Spelling {
    /// Starts a call. `params` is the length of its parameters, which rarely get longer.
    pub(super) fn call(method: Method, params: usize) -> Self {
        let name = method.label();
        let mut out = Vec::with_capacity(name.len() + params + 16);
        write_text(&mut out, name.as_bytes());
        out.push(b'[');
        Self { out }
    }

    /// The same so far, with capacity for this many bytes of text and what follows.
    pub(super) fn clone_for(&self, more: usize) -> Self {
        let mut out = Vec::with_capacity(self.out.len() + more + 4);
        out.extend_from_slice(&self.out);
        Self { out }
    }

    /// Appends what was written elsewhere.
    pub(super) fn append(&mut self, spelled: &[u8]) {
        self.out.extend_from_slice(spelled);
    }

    /// Ends the parameters before the configuration.
    pub(super) fn end_positions(&mut self) {
        self.out.push(b']');
    }

    /// In the place of the configuration.
    pub(super) fn no_config(&mut self) {
        self.out.push(b'.');
    }

    /// The written bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Bytes written so far.
    pub(super) fn length(&self) -> usize {
        self.out.len()
    }

    /// What was written from a position on.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        self.out.get(start..).unwrap_or_default()
    }

    /// Removes everything from a position on.
    pub(super) fn cut(&mut self, start: usize) {
        self.out.truncate(start);
    }

    /// Opens an object and says where it starts.
    pub(super) fn open(&mut self) -> usize {
        self.out.push(b'{');
        self.out.len() - 1
    }

    /// Closes an object whose members are in order.
    pub(super) fn close(&mut self) {
        self.out.push(b'}');
    }

    pub(super) fn nulls(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(b'n', count));
    }

    /// Writes a string by the raw text between its quotes, and says where its characters start.
    pub(super) fn text(&mut self, raw: &[u8]) -> usize {
        let unescaped = raw.contains(&b'\\').then(|| unescape(raw));
        let text = match &unescaped {
            Some(text) if !text.is_empty() => text.as_bytes(),
            // Without escapes; or not UTF-8, which no parsed call is.
            _ => raw,
        };
        write_text(&mut self.out, text);
        self.out.len() - text.len()
    }

    /// Writes the next value.
    pub(super) fn value(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        self.nested(cursor, MAX_DEPTH)
    }

    fn nested(&mut self, cursor: &mut Cursor<'_>, depth: u32) -> Option<()> {
        match cursor.token()? {
            Token::String => drop(self.text(cursor.string()?)),
            Token::Number => {
                self.out.extend_from_slice(cursor.number()?);
                self.out.push(b',');
            }
            Token::Null | Token::Bool => self.out.push(*cursor.value()?.first()?),
            Token::Array => self.array(cursor, depth.checked_sub(1)?)?,
            Token::Object => self.object(cursor, depth.checked_sub(1)?)?,
        }
        Some(())
    }

    fn array(&mut self, cursor: &mut Cursor<'_>, depth: u32) -> Option<()> {
        self.out.push(b'[');
        cursor.eat(b'[');
        let mut first = true;
        while cursor.item(first).ok()? {
            first = false;
            self.nested(cursor, depth)?;
        }
        self.out.push(b']');
        Some(())
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, depth: u32) -> Option<()> {
        self.open();
        let mut spans = Spans::default();
        cursor.eat(b'{');
        let mut first = true;
        while let Some(key) = cursor.key(first).ok()? {
            first = false;
            let start = self.length();
            self.text(key);
            let value = self.length();
            self.nested(cursor, depth)?;
            spans.push(start..self.length(), value);
        }
        self.sort(spans)?;
        self.close();
        Some(())
    }

    /// Sorts the members written last by their keys. `None` if one occurs twice.
    pub(super) fn sort(&mut self, mut spans: Spans) -> Option<()> {
        let spans = &mut spans.0;
        let Some(start) = spans.first().map(|first| first.start) else {
            return Some(());
        };
        let key = |span: &Span| self.out.get(span.start..span.value).unwrap_or_default();
        if spans.is_sorted_by(|one, next| key(one) < key(next)) {
            return Some(());
        }
        spans.sort_unstable_by(|one, other| key(one).cmp(key(other)));
        if !spans.is_sorted_by(|one, next| key(one) < key(next)) {
            return None;
        }
        let mut sorted: SmallVec<[u8; 256]> = SmallVec::new();
        for span in spans {
            sorted.extend_from_slice(self.out.get(span.start..span.end).unwrap_or_default());
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&sorted);
        Some(())
    }
}

/// Writes a string's characters, its length first.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut length = text.len();
    while length > 0x7f {
        out.push(low_seven(length) | 0x80);
        length >>= 7;
    }
    out.push(low_seven(length));
    out.extend_from_slice(text);
}

fn low_seven(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}
