//! Finds the id of an answer that arrives in chunks and does not have the usual shape. Keeps a few
//! flags, whatever the size; checks only the nesting.

use super::RequestId;
use super::cursor::NotJson;

/// More bytes than any id of the gateway has.
const LONGEST_ID: usize = 32;

/// Position of the scan in the outermost object. Deeper containers only have a depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ScanPosition {
    /// Before the first byte.
    #[default]
    Outside,
    /// Before a key.
    Key,
    /// Behind a key or within its value.
    Value,
    /// Behind the key `"id"`.
    IdColon,
    /// Behind its colon.
    Id,
    /// Within the upstream's id, a string.
    IdString,
    /// Within the upstream's id, a number or `null`.
    IdToken,
}

/// The scan's state between two chunks.
#[derive(Debug, Default)]
pub(super) struct IdSeeker {
    role: ScanPosition,
    /// Open containers.
    depth: usize,
    /// A string is open.
    string: bool,
    /// The next byte is escaped.
    escaped: bool,
    /// How far the key read so far agrees with `id`; `None` when it does not.
    key: Option<usize>,
    /// The object has a member.
    members: bool,
    /// The beginning of the upstream's id.
    id: Vec<u8>,
}

/// What to write after the kept bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppendedBytes {
    /// Nothing.
    Nothing,
    /// The caller's id, in place of the upstream's.
    Id,
}

/// The result of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeekResult {
    /// Bytes from the start that pass unchanged.
    pub(super) keep: usize,
    /// What follows them.
    pub(super) write: AppendedBytes,
    /// Where the rest begins that passes unread, after the id or at the end of an object without
    /// one; `None` while still searching.
    pub(super) rest: Option<usize>,
}

impl IdSeeker {
    /// Looks through the next chunk.
    ///
    /// # Errors
    /// The bytes are no JSON object, or its id is no scalar.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<SeekResult, NotJson> {
        let mut found = SeekResult {
            keep: chunk.len(),
            write: AppendedBytes::Nothing,
            rest: None,
        };
        if matches!(self.role, ScanPosition::IdString | ScanPosition::IdToken) {
            found.keep = 0;
            found.rest = self.id_end(chunk, 0);
            self.read_id(chunk, 0, found.rest);
            return Ok(found);
        }
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.string {
                at = self.in_string(chunk, at);
                continue;
            }
            if self.role == ScanPosition::Id && !byte.is_ascii_whitespace() {
                self.role = match byte {
                    b'"' => ScanPosition::IdString,
                    b'{' | b'[' => return Err(NotJson),
                    _ => ScanPosition::IdToken,
                };
                found.keep = at;
                found.write = AppendedBytes::Id;
                found.rest = self.id_end(chunk, at + usize::from(byte == b'"'));
                self.read_id(chunk, at, found.rest);
                return Ok(found);
            }
            if byte == b'}' && self.depth == 1 {
                if !self.members {
                    return Err(NotJson);
                }
                return Ok(SeekResult {
                    keep: at,
                    write: AppendedBytes::Nothing,
                    rest: Some(at),
                });
            }
            self.outside_string(byte)?;
            at += 1;
        }
        Ok(found)
    }

    /// Whether the id that was found is this one.
    pub(super) fn found(&self, asked: RequestId) -> bool {
        asked.is(&self.id)
    }

    fn read_id(&mut self, chunk: &[u8], from: usize, end: Option<usize>) {
        let read = chunk.get(from..end.unwrap_or(chunk.len()));
        let room = LONGEST_ID - self.id.len();
        self.id
            .extend(read.unwrap_or_default().iter().copied().take(room));
    }

    /// Reads on within a string, to its end or the end of the chunk.
    fn in_string(&mut self, chunk: &[u8], at: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            self.key = None;
            return at + 1;
        }
        let rest = chunk.get(at..).unwrap_or_default();
        let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        if self.depth == 1 && self.role == ScanPosition::Key {
            let text = rest.get(..plain).unwrap_or_default();
            self.key = self
                .key
                .filter(|&read| b"id".get(read..).is_some_and(|left| left.starts_with(text)));
            self.key = self.key.map(|read| read + text.len());
        }
        match rest.get(plain) {
            Some(b'\\') => self.escaped = true,
            Some(_) => self.string_end(),
            None => return at + plain,
        }
        at + plain + 1
    }

    fn string_end(&mut self) {
        self.string = false;
        if self.depth == 1 && self.role == ScanPosition::Key {
            self.members = true;
            self.role = if self.key == Some(2) {
                ScanPosition::IdColon
            } else {
                ScanPosition::Value
            };
        }
    }

    fn outside_string(&mut self, byte: u8) -> Result<(), NotJson> {
        match byte {
            b'"' => {
                self.string = true;
                self.key = Some(0);
            }
            b'{' | b'[' => {
                if self.depth == 0 {
                    if byte == b'[' {
                        return Err(NotJson);
                    }
                    self.role = ScanPosition::Key;
                }
                self.depth += 1;
            }
            b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or(NotJson)?,
            b',' if self.depth == 1 => self.role = ScanPosition::Key,
            b':' if self.role == ScanPosition::IdColon => self.role = ScanPosition::Id,
            _ => {}
        }
        if self.depth == 0 && !byte.is_ascii_whitespace() {
            return Err(NotJson);
        }
        Ok(())
    }

    /// Where the upstream's id ends, from `at` on; `None` when the chunk ends first.
    fn id_end(&mut self, chunk: &[u8], at: usize) -> Option<usize> {
        let rest = chunk.get(at..)?;
        if self.role == ScanPosition::IdToken {
            let ends = |byte: &u8| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace();
            return Some(at + rest.iter().position(ends)?);
        }
        for (offset, byte) in rest.iter().enumerate() {
            if std::mem::replace(&mut self.escaped, false) {
                continue;
            }
            match byte {
                b'\\' => self.escaped = true,
                b'"' => return Some(at + offset + 1),
                _ => {}
            }
        }
        None
    }
}
