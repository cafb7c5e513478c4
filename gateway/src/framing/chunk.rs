//! The line before a chunk: its size and extensions (RFC 9112 §7.1). Extensions are ignored, but
//! where their line ends decides where the chunk begins.

use super::line::{is_text, is_token};

/// Longest line, its extensions and its end included.
pub(super) const MOST_LINE: usize = 1024;

/// Most digits of a size: those of 64 bits.
const MOST_DIGITS: usize = 16;

/// Not a chunk line, whatever follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedChunk;

/// Parses the line at the beginning of `input`: its length and the size it states. `None` if it is
/// incomplete.
pub(super) fn size(input: &[u8]) -> Result<Option<(usize, u64)>, MalformedChunk> {
    let window = input.get(..MOST_LINE).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', window) else {
        let hopeless = window.len() == MOST_LINE
            || window
                .first()
                .is_some_and(|first| !first.is_ascii_hexdigit());
        return if hopeless {
            Err(MalformedChunk)
        } else {
            Ok(None)
        };
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let size = line.and_then(read).ok_or(MalformedChunk)?;
    Ok(Some((end + 1, size)))
}

/// A whole line without its end.
fn read(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, extensions) = line.split_at_checked(digits.count())?;
    if !(1..=MOST_DIGITS).contains(&digits.len()) {
        return None;
    }
    let mut rest = extensions;
    while !rest.is_empty() {
        rest = extension(rest)?;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What follows one extension: `;name`, `;name=token` or `;name="quoted"`, with white space only
/// before and after the semicolon and the equals sign.
fn extension(text: &[u8]) -> Option<&[u8]> {
    let name = blank(blank(text).strip_prefix(b";")?);
    let rest = token(name)?;
    let Some(value) = blank(rest).strip_prefix(b"=") else {
        return Some(rest);
    };
    let value = blank(value);
    match value.strip_prefix(b"\"") {
        Some(quoted) => closing(quoted),
        None => token(value),
    }
}

fn blank(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    text.get(blanks.count()..).unwrap_or_default()
}

fn token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|byte| is_token(**byte)).count();
    (length > 0).then(|| text.get(length..))?
}

/// What follows the quotation mark that closes a string.
fn closing(quoted: &[u8]) -> Option<&[u8]> {
    let mut rest = quoted;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(*escaped) => rest,
            [byte, rest @ ..] if is_text(*byte) && *byte != b'\\' => rest,
            _ => return None,
        };
    }
}
