//! A reader over JSON text: tokens, strings, whole values, without building any of them. Checks
//! syntax only; invalid JSON stops it, and nothing makes it panic or recurse.

/// Containers deeper than this are refused, as `serde_json` does.
const MAX_DEPTH: u32 = 127;

/// The type of a value, recognised by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// `-` or a digit
    Number,
    /// `t`, `f`
    Bool,
    /// `n`
    Null,
}

/// A position in JSON text. Every method that reads returns `None` at the first byte that is not
/// JSON (or at its end); the position is meaningless afterwards.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `text`.
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes read so far.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips bytes that were read in another way.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space.
    pub fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Reads `byte` if it comes next after white space.
    pub fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Whether only white space is left.
    pub fn at_end(&mut self) -> bool {
        self.space();
        self.at >= self.text.len()
    }

    /// What the next value is, after white space.
    pub fn token(&mut self) -> Option<Token> {
        self.space();
        Some(match self.peek()? {
            b'{' => Token::Object,
            b'[' => Token::Array,
            b'"' => Token::String,
            b'-' | b'0'..=b'9' => Token::Number,
            b't' | b'f' => Token::Bool,
            b'n' => Token::Null,
            _ => return None,
        })
    }

    /// Reads a string and returns the raw text between its quotes.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.at;
        loop {
            self.at += plain_length(self.text.get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(start..self.at - 1);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Reads a backslash and what it escapes. Half a surrogate pair is invalid.
    pub(super) fn escape(&mut self) -> Option<()> {
        self.at += 2;
        match self.text.get(self.at - 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.hex4()? {
                0xD800..=0xDBFF => {
                    let pair = self.text.get(self.at..self.at + 2)? == b"\\u";
                    self.at += 2;
                    (pair && (0xDC00..=0xDFFF).contains(&self.hex4()?)).then_some(())
                }
                0xDC00..=0xDFFF => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, digit| {
            Some(value * 16 + char::from(*digit).to_digit(16)?)
        })
    }

    /// Reads a number and returns its text.
    pub fn number(&mut self) -> Option<&'a [u8]> {
        self.space();
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        self.text.get(start..self.at)
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (digits > 0).then_some(())
    }

    /// Reads an unsigned integer of at most 64 bits; `None` for any other value, a fraction or an
    /// exponent.
    pub fn unsigned(&mut self) -> Option<u64> {
        let digits = self.number()?;
        if digits.len() > 20 {
            return None;
        }
        digits.iter().try_fold(0_u64, |number, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            number.checked_mul(10)?.checked_add(u64::from(digit))
        })
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        let found = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        found.then_some(())
    }

    fn scalar(&mut self, token: Token) -> Option<()> {
        match token {
            Token::String => self.string().map(drop),
            Token::Number => self.number().map(drop),
            Token::Null => self.literal(b"null"),
            Token::Bool => match self.peek()? {
                b't' => self.literal(b"true"),
                _ => self.literal(b"false"),
            },
            Token::Object | Token::Array => None,
        }
    }

    /// Reads a whole value of any kind and returns its text, without the white space before it.
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let first = self.token()?;
        let start = self.at;
        if !matches!(first, Token::Object | Token::Array) {
            self.scalar(first)?;
            return self.text.get(start..self.at);
        }
        // One bit per open container, the innermost lowest: 1 for an object.
        let mut open: u128 = 0;
        let mut depth: u32 = 0;
        let mut next = first;
        loop {
            if let Token::Object | Token::Array = next {
                self.at += 1;
                let object = next == Token::Object;
                if !self.eat(if object { b'}' } else { b']' }) {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return None;
                    }
                    open = (open << 1) | u128::from(object);
                    next = self.entry(object)?;
                    continue;
                }
            } else {
                self.scalar(next)?;
            }
            // A value has ended: close the containers that end with it, or go on to the next entry.
            loop {
                if depth == 0 {
                    return self.text.get(start..self.at);
                }
                let object = open & 1 == 1;
                if self.eat(b',') {
                    next = self.entry(object)?;
                    break;
                }
                if !self.eat(if object { b'}' } else { b']' }) {
                    return None;
                }
                open >>= 1;
                depth -= 1;
            }
        }
    }

    /// Reads up to the value of an entry: over its key, in an object.
    fn entry(&mut self, object: bool) -> Option<Token> {
        if object {
            self.string()?;
            if !self.eat(b':') {
                return None;
            }
        }
        self.token()
    }

    /// Reads to the next key of an object, the raw text between its quotes, and over the colon.
    /// `first` says whether it is the first one. `Ok(None)` is the end of the object.
    ///
    /// # Errors
    /// The text is not JSON here.
    pub fn key(&mut self, first: bool) -> Result<Option<&'a [u8]>, NotJson> {
        if self.eat(b'}') {
            return Ok(None);
        }
        if !first && !self.eat(b',') {
            return Err(NotJson);
        }
        let key = self.string().ok_or(NotJson)?;
        if self.eat(b':') {
            Ok(Some(key))
        } else {
            Err(NotJson)
        }
    }

    /// Moves from the beginning of an object before the value of one of its members. `None` when
    /// there is no object here, no such member, or no JSON.
    pub fn member(&mut self, name: &[u8]) -> Option<&mut Self> {
        if !self.eat(b'{') {
            return None;
        }
        let mut first = true;
        while let Some(key) = self.key(first).ok()? {
            if key == name {
                return Some(self);
            }
            self.value()?;
            first = false;
        }
        None
    }

    /// Moves before the next item of an array. `first` says whether it is the first one.
    /// `Ok(false)` is the end of the array.
    ///
    /// # Errors
    /// The text is not JSON here.
    pub fn item(&mut self, first: bool) -> Result<bool, NotJson> {
        if self.eat(b']') {
            return Ok(false);
        }
        if first || self.eat(b',') {
            Ok(true)
        } else {
            Err(NotJson)
        }
    }
}

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// The characters a checked raw string stands for.
pub(crate) fn unescape(raw: &[u8]) -> String {
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).unwrap_or_default()
}

/// How many bytes from the start belong to a string as they are: no quote, no backslash, no
/// control character. Eight at a time for the short strings that most are; a transaction's
/// kilobytes of base64 go through wider registers.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    const SPACES: u64 = u64::from_ne_bytes([0x20; 8]);
    let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;

    let mut length = 0;
    for block in text.chunks_exact(8).take(8) {
        let word = <[u8; 8]>::try_from(block).map_or(0, u64::from_le_bytes);
        let control = word.wrapping_sub(SPACES) & !word & HIGH;
        let stop = zero_byte(word ^ QUOTES) | zero_byte(word ^ BACKSLASHES) | control;
        if stop != 0 {
            // Borrows only disturb bytes after a true hit, so the first one is right.
            return length + (stop.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let rest = text.get(length..).unwrap_or_default();
    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let plain = rest.get(..end).unwrap_or_default();
    let control = |byte: &u8| *byte < 0x20;
    if plain
        .iter()
        .fold(false, |found, byte| found | control(byte))
    {
        return length + plain.iter().position(control).unwrap_or(end);
    }
    length + end
}

#[cfg(test)]
mod tests;
