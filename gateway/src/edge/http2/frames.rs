//! How far the frames of HTTP/2 have come that a client sends (RFC 9113 §4.1). Pure: only their
//! lengths, kinds and ends of header blocks matter.

/// Bytes before the first frame: the preface.
const PREFACE: usize = 24;

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// The kinds of frames that matter.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// The flag of a frame that ends a header block.
const END_HEADERS: u8 = 4;

/// What has begun and is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnfinishedFrame {
    /// A part of a request's body.
    Data,
    /// A header block, which may take several frames, or any other frame.
    Head,
}

/// Follows frames as their bytes arrive.
#[derive(Debug)]
pub(super) struct FrameProgress {
    head: [u8; HEAD],
    /// Bytes of it that have arrived.
    filled: usize,
    /// Bytes of the preface, or of the latest frame's payload, that have not arrived.
    left: usize,
    /// The kind of the latest frame.
    kind: u8,
    /// The latest header block has not ended.
    in_block: bool,
    /// Frames that have begun; those of one header block count as one.
    begun: u64,
}

impl FrameProgress {
    pub(super) fn new() -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            left: PREFACE,
            kind: HEADERS,
            in_block: false,
            begun: 1,
        }
    }

    /// More bytes have arrived.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            if self.filled == 0 && !self.in_block {
                self.begun += 1;
            }
            let room = self.head.get_mut(self.filled..).unwrap_or_default();
            let taken = room.len().min(bytes.len());
            let (now, rest) = bytes.split_at(taken);
            room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.filled += taken;
            bytes = rest;
            if self.filled == HEAD {
                self.begin();
            }
        }
    }

    /// The head of a frame is whole.
    fn begin(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.filled = 0;
        self.kind = kind;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
    }

    /// What has begun and is not whole, with its number.
    pub(super) fn unfinished(&self) -> Option<(u64, UnfinishedFrame)> {
        let kind = if self.in_block || self.filled > 0 {
            UnfinishedFrame::Head
        } else if self.left == 0 {
            return None;
        } else if self.kind == DATA {
            UnfinishedFrame::Data
        } else {
            UnfinishedFrame::Head
        };
        Some((self.begun, kind))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: u8 = 4;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD + usize::from(length), 0xff);
        bytes
    }

    fn after(frames: &[Vec<u8>]) -> FrameProgress {
        let mut progress = FrameProgress::new();
        progress.read(&[b'P'; PREFACE]);
        progress.read(&frames.concat());
        progress
    }

    #[test]
    fn whole_frames_leave_nothing_unfinished() {
        for frames in [
            vec![],
            vec![frame(SETTINGS, 0, 0)],
            vec![frame(SETTINGS, 0, 12), frame(HEADERS, END_HEADERS, 200)],
            vec![frame(HEADERS, 0, 5), frame(CONTINUATION, END_HEADERS, 0)],
            vec![frame(HEADERS, END_HEADERS, 5), frame(DATA, 0, 255)],
        ] {
            assert_eq!(after(&frames).unfinished(), None, "{frames:?}");
        }
    }

    #[test]
    fn parts_of_frames_and_of_header_blocks_are_unfinished() {
        use UnfinishedFrame::{Data, Head};
        let part = |kind, length: usize| frame(kind, END_HEADERS, 100)[..length].to_vec();
        for (frames, kind) in [
            (vec![part(SETTINGS, 1)], Head),
            (vec![part(SETTINGS, HEAD)], Head),
            (vec![part(SETTINGS, HEAD + 99)], Head),
            (vec![part(HEADERS, HEAD + 1)], Head),
            (vec![frame(HEADERS, 0, 5)], Head),
            (vec![frame(HEADERS, 0, 5), part(CONTINUATION, 20)], Head),
            (vec![frame(HEADERS, 0, 5), frame(CONTINUATION, 0, 5)], Head),
            (vec![part(DATA, 5)], Head),
            (vec![part(DATA, HEAD)], Data),
            (vec![part(DATA, HEAD + 50)], Data),
        ] {
            let unfinished = after(&frames).unfinished();
            assert_eq!(unfinished.map(|(_, kind)| kind), Some(kind), "{frames:?}");
        }
    }

    #[test]
    fn a_header_block_counts_as_one_and_other_frames_each() {
        let number = |frames: &[Vec<u8>]| after(frames).unfinished().unwrap().0;
        let block = number(&[frame(HEADERS, 0, 5)]);
        assert_eq!(
            number(&[frame(HEADERS, 0, 5), frame(CONTINUATION, 0, 5)]),
            block
        );
        let part = frame(DATA, 0, 100)[..20].to_vec();
        assert_ne!(number(&[frame(DATA, 0, 9), part.clone()]), number(&[part]));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_which_pieces_they_come(
            frames in prop::collection::vec((0..10_u8, 0..8_u8, any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            pieces in 1..20_usize,
        ) {
            let mut bytes = vec![b'P'; PREFACE];
            bytes.extend(frames.into_iter().flat_map(|(kind, flags, length)| frame(kind, flags, length)));
            bytes.truncate(cut.index(bytes.len()) + 1);
            let (mut whole, mut pieced) = (FrameProgress::new(), FrameProgress::new());
            whole.read(&bytes);
            bytes.chunks(pieces).for_each(|piece| pieced.read(piece));
            prop_assert_eq!(whole.unfinished(), pieced.unfinished());
        }
    }
}
