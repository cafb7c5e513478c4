//! A response body in parts, so that very large answers are sent without being held in memory.

use bytes::{Bytes, BytesMut};

/// The filler of padding.
const FILLER: [u8; 16 * 1024] = [b'a'; 16 * 1024];

/// A piece of a body.
#[derive(Debug, Clone)]
pub enum Part {
    Bytes(Bytes),
    /// This many letters `a`.
    Pad(u64),
}

/// A response body whose length is known and whose bytes may not exist yet.
#[derive(Debug, Clone, Default)]
pub struct Body {
    parts: Vec<Part>,
}

impl Body {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Bytes(bytes) => bytes.len() as u64,
            Part::Pad(length) => *length,
        });
        lengths.fold(0, u64::saturating_add)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends text.
    pub fn text(&mut self, text: impl Into<Bytes>) {
        self.parts.push(Part::Bytes(text.into()));
    }

    /// Appends `length` letters.
    pub fn pad(&mut self, length: u64) {
        self.parts.push(Part::Pad(length));
    }

    /// Appends another body.
    pub fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }

    /// A result made at least `length` bytes long: an object gets one more member, an array one
    /// more item, a string more letters. Everything else stays as it is.
    #[must_use]
    pub fn widened(self, length: u64) -> Self {
        let missing = length.saturating_sub(self.len());
        if missing == 0 {
            return self;
        }
        let [Part::Bytes(text)] = self.parts.as_slice() else {
            return self;
        };
        let (open, close) = match (text.first(), text.len()) {
            (Some(b'{'), 3..) => (&b",\"sandboxPad\":\""[..], &b"\"}"[..]),
            (Some(b'['), 3..) => (&b",\""[..], &b"\"]"[..]),
            (Some(b'"'), _) => (&b""[..], &b"\""[..]),
            _ => return self,
        };
        let mut wide = Self::from(text.slice(..text.len() - 1));
        wide.text(open);
        wide.pad(missing);
        wide.text(close);
        wide
    }

    /// All of it in one piece.
    pub fn collect(mut self) -> Bytes {
        let mut whole = BytesMut::new();
        loop {
            let piece = self.take(usize::MAX);
            if piece.is_empty() {
                return whole.freeze();
            }
            whole.extend_from_slice(&piece);
        }
    }

    /// Takes up to `most` bytes off the front; empty when nothing is left.
    pub fn take(&mut self, most: usize) -> Bytes {
        while let Some(part) = self.parts.first_mut() {
            match part {
                Part::Bytes(bytes) if !bytes.is_empty() => {
                    return bytes.split_to(most.min(bytes.len()));
                }
                Part::Pad(left) if *left > 0 => {
                    let length = most
                        .min(FILLER.len())
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    return Bytes::from_static(FILLER.split_at(length).0);
                }
                _ => {
                    self.parts.remove(0);
                }
            }
        }
        Bytes::new()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(text: T) -> Self {
        let mut body = Self::default();
        body.text(text);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_in_pieces_and_padding_takes_no_memory() {
        let mut body = Body::from("[\"");
        body.pad(3 << 40);
        body.text("\"]");
        assert_eq!(body.len(), (3 << 40) + 4);
        assert_eq!(body.take(100), "[\"");
        assert_eq!(body.take(5), "aaaaa");
        assert_eq!(body.len(), (3 << 40) + 2 - 5);
    }

    #[test]
    fn a_widened_result_stays_json() {
        for text in [r#"{"a":1}"#, r#"{"a":{"b":[]}}"#, "[1,2]", r#""text""#] {
            let mut wide = Body::from(text).widened(1_000);
            let mut whole = Vec::new();
            while !wide.is_empty() {
                whole.extend_from_slice(&wide.take(512));
            }
            assert!(whole.len() >= 1_000);
            serde_json::from_slice::<serde_json::Value>(&whole).unwrap();
        }
        assert_eq!(Body::from("17").widened(1_000).len(), 2);
        assert_eq!(Body::from(r#"{"a":1}"#).widened(0).len(), 7);
    }

    #[test]
    fn nothing_is_lost_between_pieces() {
        let mut body = Body::from("ab");
        body.pad(40_000);
        body.text("cd");
        let mut whole = Vec::new();
        loop {
            let piece = body.take(7_000);
            if piece.is_empty() {
                break;
            }
            whole.extend_from_slice(&piece);
        }
        assert_eq!(whole.len(), 40_004);
        assert!(whole.starts_with(b"aba") && whole.ends_with(b"acd"));
    }
}
