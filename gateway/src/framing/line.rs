//! What may stand in a line of a message's head or trailers (RFC 9110 §5, RFC 9112 §5).

/// Why a line is no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadField {
    /// It begins with white space, as the continuation of the line before.
    Folded,
    NoColon,
    /// The name is empty, or holds something other than a token's characters.
    Name,
    /// The value holds a control character.
    Value,
}

/// Splits a line, without its end, into name and value; white space around the value is removed.
///
/// # Errors
/// The line is not a field.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), BadField> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(BadField::Folded);
    }
    let colon = memchr::memchr(b':', line).ok_or(BadField::NoColon)?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(BadField::Name);
    }
    if !value.iter().copied().all(is_text) {
        return Err(BadField::Value);
    }
    Ok((name, value.trim_ascii()))
}

/// A character of names and methods.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A character of values: visible ones, white space, and those beyond ASCII.
pub fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
