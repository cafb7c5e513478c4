//! The head of a client's frame, as its bytes arrive.

use bytes::{BufMut, BytesMut};

/// FIN, in the first byte.
pub(super) const FINAL: u8 = 0x80;
/// The reserved bits of the first byte; the first of them marks a compressed message.
pub(super) const COMPRESSED: u8 = 0x40;
pub(super) const RESERVED: u8 = 0x30;
/// The opcode, in the first byte.
pub(super) const OPCODE: u8 = 0x0f;
pub(super) const CONTINUATION: u8 = 0;
/// That a mask follows, in the second byte.
const MASKED: u8 = 0x80;

/// In place of a length: it follows in two bytes, or in eight.
const MIDDLE: u8 = 0x7e;
const LONG: u8 = 0x7f;

/// The longest head.
const LONGEST: usize = 14;

/// A head up to the last byte that has arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartialHead {
    bytes: [u8; LONGEST],
    length: usize,
}

/// A whole head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) first: u8,
    /// Of the payload.
    pub(super) length: u64,
    /// `None`: the payload is not masked.
    pub(super) mask: Option<[u8; 4]>,
}

impl PartialHead {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// As it arrived.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Adds the next byte; returns the head if that was the last one.
    pub(super) fn add(&mut self, byte: u8) -> Option<FrameHead> {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
        let [first, second, rest @ ..] = self.bytes() else {
            return None;
        };
        let (length, rest) = match second & !MASKED {
            MIDDLE => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            LONG => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let mask = match second & MASKED {
            0 => None,
            _ => Some(*rest.first_chunk()?),
        };
        Some(FrameHead {
            first: *first,
            length,
            mask,
        })
    }
}

/// Writes a head in its shortest form, with a mask that changes nothing.
pub(super) fn put_unmasked(into: &mut BytesMut, first: u8, length: usize) {
    into.put_u8(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..MIDDLE), _) => into.put_u8(MASKED | length),
        (_, Ok(length)) => {
            into.put_u8(MASKED | MIDDLE);
            into.put_u16(length);
        }
        _ => {
            into.put_u8(MASKED | LONG);
            into.put_u64(length as u64);
        }
    }
    into.put_u32(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<FrameHead> {
        let mut head = PartialHead::default();
        let (last, others) = bytes.split_last().unwrap();
        for byte in others {
            assert_eq!(head.add(*byte), None, "{bytes:?} is longer");
        }
        let whole = head.add(*last);
        assert_eq!(head.bytes(), bytes);
        whole
    }

    #[test]
    fn a_head_is_read_byte_by_byte() {
        let head = |first, length, mask| {
            Some(FrameHead {
                first,
                length,
                mask,
            })
        };
        let mask = Some([1, 2, 3, 4]);
        assert_eq!(read(&[0x81, 5]), head(0x81, 5, None));
        assert_eq!(read(&[0xc1, 0x85, 1, 2, 3, 4]), head(0xc1, 5, mask));
        assert_eq!(read(&[0, 126, 1, 0]), head(0, 256, None));
        assert_eq!(read(&[0, 254, 0, 7, 1, 2, 3, 4]), head(0, 7, mask));
        let most = [
            0x8a, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4,
        ];
        assert_eq!(read(&most), head(0x8a, u64::MAX, mask));
    }

    #[test]
    fn a_head_is_written_in_its_shortest_form() {
        for (length, written) in [(0, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut bytes = BytesMut::new();
            put_unmasked(&mut bytes, 0x81, length);
            assert_eq!(bytes.len(), written);
            let expected = FrameHead {
                first: 0x81,
                length: length as u64,
                mask: Some([0; 4]),
            };
            assert_eq!(read(&bytes), Some(expected));
        }
    }
}
