//! What a client sends, with its compressed messages replaced by the same messages uncompressed.
//!
//! All rules of frames remain those of the reader behind this: what breaks one is passed on as it
//! arrived. A compressed message becomes fragments of at most [`FRAGMENT`] bytes, so that the reader's
//! bound of a message ends one that would become too large before more of it is decompressed.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::frame_head::{
    COMPRESSED, CONTINUATION, FINAL, FrameHead, OPCODE, PartialHead, RESERVED, put_unmasked,
};
use super::inflaters::{Inflater, Inflaters};

/// Most bytes of a message that are decompressed at once.
pub(super) const FRAGMENT: usize = 4096;

/// What the sender has taken off the end of a message (RFC 7692 §7.2.2), and an empty last block: a
/// message that ends within a block does not end with it.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// A compressed message cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a compressed message is corrupt")]
pub(in crate::pubsub) struct CorruptDeflate;

/// The frames of a client on which compression was agreed.
#[derive(Debug)]
pub(super) struct InboundFrames {
    inflaters: Arc<Inflaters>,
    /// Compressed bytes of a message, at most.
    longest: u64,
    at: Position,
    /// The compressed message that is arriving.
    message: Option<ArrivingMessage>,
    /// What arrived and was not looked at yet.
    raw: BytesMut,
    /// For the reader.
    ready: BytesMut,
}

#[derive(Debug)]
enum Position {
    /// In the head of a frame that is passed on.
    Head(PartialHead),
    /// In its payload.
    Payload {
        left: u64,
    },
    /// In the head of a frame of a compressed message.
    CompressedHead(PartialHead),
    CompressedPayload(CompressedPayload),
}

#[derive(Debug)]
struct CompressedPayload {
    left: u64,
    mask: [u8; 4],
    is_final: bool,
}

#[derive(Debug)]
struct ArrivingMessage {
    inflater: Inflater,
    /// Compressed bytes of all its frames so far.
    length: u64,
    /// Of the next fragment for the reader.
    opcode: u8,
    /// Unmasked, and not decompressed yet.
    input: Bytes,
    /// The next fragment.
    output: Vec<u8>,
    /// `input` is the last there is.
    has_tail: bool,
    /// The last block has ended, and nothing has followed it.
    has_ended: bool,
    /// More may come out without any input.
    is_full: bool,
}

impl InboundFrames {
    /// `unread` has arrived already; no message is longer than `longest` bytes, compressed.
    pub(super) fn new(inflaters: Arc<Inflaters>, unread: &[u8], longest: usize) -> Self {
        Self {
            inflaters,
            longest: u64::try_from(longest).unwrap_or(u64::MAX),
            at: Position::Head(PartialHead::default()),
            message: None,
            raw: BytesMut::from(unread),
            ready: BytesMut::new(),
        }
    }

    /// Looks at what has just arrived, if nothing else waits: the first bytes of it, as many as are
    /// returned, are for the reader as they are; the rest is kept.
    pub(super) fn arrive(&mut self, bytes: &[u8]) -> usize {
        let passed = self.pass(bytes);
        self.raw
            .extend_from_slice(bytes.get(passed..).unwrap_or_default());
        passed
    }

    /// The next bytes for the reader, at most so many; empty if more has to arrive first.
    pub(super) fn take(&mut self, most: usize) -> Result<BytesMut, CorruptDeflate> {
        while self.ready.is_empty() && self.step()? {}
        let taken = self.ready.split_to(self.ready.len().min(most));
        // An idle client keeps no memory of its last message.
        for buffer in [&mut self.ready, &mut self.raw] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
        Ok(taken)
    }

    /// Goes on with what has arrived; returns whether there was something to do.
    fn step(&mut self) -> Result<bool, CorruptDeflate> {
        match &mut self.at {
            Position::Head(_) | Position::Payload { .. } => {
                let mut raw = std::mem::take(&mut self.raw);
                let passed = self.pass(&raw);
                self.ready = raw.split_to(passed);
                self.raw = raw;
                Ok(passed > 0 || matches!(self.at, Position::CompressedHead(_)))
            }
            Position::CompressedHead(head) => {
                if self.raw.is_empty() {
                    return Ok(false);
                }
                let byte = self.raw.get_u8();
                if let Some(whole) = head.add(byte) {
                    let head = *head;
                    self.begin(whole, &head);
                }
                Ok(true)
            }
            Position::CompressedPayload(payload) => {
                let Some(message) = &mut self.message else {
                    return Err(CorruptDeflate);
                };
                if message.is_full || !message.input.is_empty() {
                    message.inflate()?;
                } else if payload.left > 0 {
                    if self.raw.is_empty() {
                        return Ok(false);
                    }
                    message.input = payload.unmask(&mut self.raw);
                } else if payload.is_final && !message.has_tail {
                    message.has_tail = true;
                    // Nothing at all is an empty message, though no block has begun.
                    if message.length == 0 {
                        message.has_ended = true;
                    } else {
                        message.input = Bytes::from_static(TAIL);
                    }
                } else {
                    self.end()?;
                    return Ok(true);
                }
                if message.is_full {
                    message.write(&mut self.ready, false);
                }
                Ok(true)
            }
        }
    }

    /// The number of leading bytes that belong to frames which are passed on.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while let Some(byte) = bytes.get(passed) {
            match &mut self.at {
                Position::Head(head) => {
                    if head.is_empty() && is_compressed(*byte, self.message.is_some()) {
                        self.at = Position::CompressedHead(PartialHead::default());
                        break;
                    }
                    passed += 1;
                    if let Some(head) = head.add(*byte) {
                        self.at = Position::Payload { left: head.length };
                    }
                }
                Position::Payload { left } => {
                    let rest = bytes.len() - passed;
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest);
                    passed += here;
                    *left -= here as u64;
                }
                Position::CompressedHead(_) | Position::CompressedPayload(_) => break,
            }
            if matches!(self.at, Position::Payload { left: 0 }) {
                self.at = Position::Head(PartialHead::default());
            }
        }
        passed
    }

    /// A frame of a compressed message begins.
    fn begin(&mut self, head: FrameHead, bytes: &PartialHead) {
        let before = self.message.as_ref().map_or(0, |message| message.length);
        let length = before.saturating_add(head.length);
        let Some(mask) = head.mask.filter(|_| length <= self.longest) else {
            self.refuse(head, bytes);
            return;
        };
        self.at = Position::CompressedPayload(CompressedPayload {
            left: head.length,
            mask,
            is_final: head.first & FINAL != 0,
        });
        if let Some(message) = &mut self.message {
            message.length = length;
        } else {
            self.message = Some(ArrivingMessage {
                inflater: self.inflaters.take(),
                length,
                opcode: head.first & OPCODE,
                input: Bytes::new(),
                output: Vec::with_capacity(FRAGMENT),
                has_tail: false,
                has_ended: false,
                is_full: false,
            });
        }
    }

    /// The reader refuses it, if it is told the truth: of frames that are too long together, it is shown
    /// one that is.
    fn refuse(&mut self, head: FrameHead, bytes: &PartialHead) {
        self.at = Position::Payload { left: head.length };
        if head.mask.is_none() || head.length > self.longest {
            self.ready.extend_from_slice(bytes.bytes());
        } else {
            let too_long = self.longest.saturating_add(1);
            let too_long = usize::try_from(too_long).unwrap_or(usize::MAX);
            put_unmasked(&mut self.ready, head.first & OPCODE, too_long);
        }
    }

    /// A frame of a compressed message has ended. The reader gets to know of each, so that it
    /// recognises what must not follow.
    fn end(&mut self) -> Result<(), CorruptDeflate> {
        self.at = Position::Head(PartialHead::default());
        let Some(mut message) = self.message.take() else {
            return Ok(());
        };
        if !message.has_tail {
            message.write(&mut self.ready, false);
            self.message = Some(message);
            return Ok(());
        }
        if !message.has_ended {
            return Err(CorruptDeflate);
        }
        message.write(&mut self.ready, true);
        self.inflaters.done(message.inflater);
        Ok(())
    }
}

/// Whether a frame that begins with this byte belongs to a compressed message. Where a rule is broken,
/// it does not.
fn is_compressed(first: u8, within: bool) -> bool {
    let opcode = first & OPCODE;
    let marked = first & COMPRESSED != 0;
    first & RESERVED == 0
        && match opcode {
            CONTINUATION => within && !marked,
            // A text, or bytes.
            1 | 2 => !within && marked,
            _ => false,
        }
}

impl CompressedPayload {
    /// Takes what has arrived of it.
    fn unmask(&mut self, raw: &mut BytesMut) -> Bytes {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX);
        let mut piece = raw.split_to(here.min(raw.len()));
        for (byte, mask) in piece.iter_mut().zip(self.mask.iter().cycle()) {
            *byte ^= mask;
        }
        self.left -= piece.len() as u64;
        self.mask.rotate_left(piece.len() % 4);
        piece.freeze()
    }
}

impl ArrivingMessage {
    /// Decompresses until the fragment is full or the input used up.
    fn inflate(&mut self) -> Result<(), CorruptDeflate> {
        let before = self.output.len();
        let inflated = self.inflater.inflate(&self.input, &mut self.output);
        let inflated = inflated.map_err(|_corrupt| CorruptDeflate)?;
        let stands = inflated.read == 0 && self.output.len() == before && !inflated.ended;
        if stands && !self.input.is_empty() {
            return Err(CorruptDeflate);
        }
        self.input.advance(inflated.read);
        self.is_full = self.output.len() == self.output.capacity();
        if inflated.read > 0 || inflated.ended {
            self.has_ended = inflated.ended && self.input.is_empty();
        }
        Ok(())
    }

    /// Writes a fragment with what was decompressed since the last one.
    fn write(&mut self, ready: &mut BytesMut, is_final: bool) {
        let first = self.opcode | if is_final { FINAL } else { 0 };
        put_unmasked(ready, first, self.output.len());
        ready.extend_from_slice(&self.output);
        self.output.clear();
        self.opcode = CONTINUATION;
    }
}
