//! Compressing messages. A compressor takes some 300 KiB: there is one for each processor, and clients
//! take turns.

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// What a compressed message ends with before these bytes are taken off (RFC 7692 §7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// Compressed without a pause for other tasks.
const PIECE: usize = 64 * 1024;

/// What [`completed`] adds to a beginning and a rest.
const STORED: usize = 6;

/// The compressors, shared by all clients.
#[derive(Debug)]
pub(in crate::pubsub) struct Compressors {
    turns: Semaphore,
    idle: Mutex<Vec<Levelled>>,
}

/// A compressor of this level.
#[derive(Debug)]
struct Levelled {
    level: u32,
    compress: Compress,
}

impl Compressors {
    /// At most so many work at the same time.
    pub(in crate::pubsub) fn new(most: usize) -> Self {
        Self {
            turns: Semaphore::new(most),
            idle: Mutex::default(),
        }
    }

    /// A whole message as the payload of a frame; `None` if it would not be shorter. `level` is 1
    /// (fast) to 9 (small).
    pub(in crate::pubsub) async fn message(&self, text: &[u8], level: u32) -> Option<Bytes> {
        let mut payload = self.flushed(text, level).await?;
        payload.truncate(payload.len().checked_sub(TAIL.len())?);
        (payload.len() < text.len()).then(|| payload.into())
    }

    /// The beginning of a message, to be [`completed`]; `None` if it would not be shorter.
    pub(in crate::pubsub) async fn beginning(&self, text: &[u8], level: u32) -> Option<Bytes> {
        let payload = self.flushed(text, level).await?;
        (payload.len() + STORED < text.len()).then(|| payload.into())
    }

    /// Compressed up to the end of a byte; ends with [`TAIL`].
    async fn flushed(&self, text: &[u8], level: u32) -> Option<Vec<u8>> {
        // Uncompressed, it is refused.
        std::str::from_utf8(text).ok()?;
        let _turn = self.turns.acquire().await.ok()?;
        let mut compressor = self.take(level);
        let mut output = Vec::with_capacity(text.len() / 2 + 64);
        let mut pieces = text.chunks(PIECE).peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                deflate(
                    &mut compressor.compress,
                    piece,
                    FlushCompress::Sync,
                    &mut output,
                )?;
            } else {
                deflate(
                    &mut compressor.compress,
                    piece,
                    FlushCompress::None,
                    &mut output,
                )?;
                yield_now().await;
            }
        }
        compressor.compress.reset();
        self.idle.lock().push(compressor);
        output.ends_with(TAIL).then_some(output)
    }

    fn take(&self, level: u32) -> Levelled {
        // One of another level is from before a reload.
        let idle = self.idle.lock().pop().filter(|idle| idle.level == level);
        idle.unwrap_or_else(|| Levelled {
            level,
            compress: Compress::new(Compression::new(level), false),
        })
    }
}

/// Compresses all of `input`; `None` if the compressor fails, which none does.
fn deflate(
    compress: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    output: &mut Vec<u8>,
) -> Option<()> {
    loop {
        if output.len() == output.capacity() {
            output.reserve(input.len().max(256));
        }
        let before = (compress.total_in(), compress.total_out());
        let status = compress.compress_vec(input, output, flush).ok()?;
        let read = usize::try_from(compress.total_in() - before.0).ok()?;
        input = input.get(read..)?;
        if output.len() < output.capacity() {
            if input.is_empty() {
                return Some(());
            }
            let stands = read == 0 && compress.total_out() == before.1;
            if stands || status == Status::StreamEnd {
                return None;
            }
        }
    }
}

/// A message that begins with what was compressed as `beginning` and goes on with `rest`, which is
/// short and stored as it is (RFC 1951 §3.2.4): the beginning is the same for many clients.
pub(in crate::pubsub) fn completed(beginning: &[u8], rest: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(beginning.len() + STORED + rest.len());
    payload.put_slice(beginning);
    for block in rest.chunks(usize::from(u16::MAX)) {
        // Not the last block, stored.
        payload.put_u8(0);
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        payload.put_u16_le(length);
        payload.put_u16_le(!length);
        payload.put_slice(block);
    }
    // The beginning of an empty stored block; the rest of it is TAIL.
    payload.put_u8(0);
    payload.freeze()
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// As a client does it.
    fn inflated(payload: &[u8]) -> Vec<u8> {
        let input = [payload, TAIL].concat();
        let mut inflate = Decompress::new(false);
        let mut text = Vec::with_capacity(1 << 20);
        let status = inflate.decompress_vec(&input, &mut text, FlushDecompress::Sync);
        assert_eq!(status.unwrap(), Status::Ok);
        assert_eq!(inflate.total_in(), input.len() as u64, "read to the end");
        text
    }

    fn json(accounts: usize) -> Vec<u8> {
        let account = br#"{"lamports":1000,"owner":"11111111111111111111111111111111","data":["","base64"]},"#;
        account.repeat(accounts)
    }

    #[tokio::test]
    async fn messages_are_whole_and_depend_on_no_other() {
        let compressors = Compressors::new(1);
        for accounts in [1, 2, 10_000, 1, 700, 3] {
            let text = json(accounts);
            for level in [1, 9] {
                if let Some(payload) = compressors.message(&text, level).await {
                    assert!(payload.len() < text.len());
                    assert_eq!(inflated(&payload), text);
                } else {
                    assert_eq!(accounts, 1);
                }
            }
        }
        assert_eq!(compressors.idle.lock().len(), 1);
    }

    #[tokio::test]
    async fn what_does_not_get_shorter_is_left() {
        let compressors = Compressors::new(1);
        for text in ["", "short", "{}"] {
            assert_eq!(
                compressors.message(text.as_bytes(), 1).await,
                None,
                "{text}"
            );
            assert_eq!(
                compressors.beginning(text.as_bytes(), 1).await,
                None,
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_text_is_left() {
        let bytes = vec![0xff; 5000];
        assert_eq!(Compressors::new(1).message(&bytes, 1).await, None);
    }

    #[tokio::test]
    async fn a_beginning_is_completed_for_each_client() {
        let compressors = Compressors::new(1);
        let text = json(50);
        let beginning = compressors.beginning(&text, 1).await.unwrap();
        for rest in [&b"7}}"[..], b"18446744073709551615}}", b""] {
            let payload = completed(&beginning, rest);
            assert_eq!(inflated(&payload), [&text, rest].concat());
        }
    }

    #[tokio::test]
    async fn a_message_given_up_half_way_takes_no_compressor_with_it() {
        let compressors = Compressors::new(1);
        let text = json(10_000);
        let mut compressing = Box::pin(compressors.message(&text, 1));
        assert!(futures::poll!(&mut compressing).is_pending());
        drop(compressing);
        let payload = compressors.message(&text, 1).await.unwrap();
        assert_eq!(inflated(&payload), text);
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(
            words in vec(prop::sample::select(vec!["{", "\"slot\":", "12", "é", "x"]), 0..4000),
            level in 1_u32..=9,
        ) {
            let text = words.concat().into_bytes();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let compressors = Compressors::new(1);
            if let Some(payload) = runtime.block_on(compressors.message(&text, level)) {
                prop_assert_eq!(inflated(&payload), text);
            }
        }
    }
}
