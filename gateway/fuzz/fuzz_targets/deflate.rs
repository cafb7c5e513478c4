//! Compressed messages of WebSocket clients: no panic; no split matters, and little is decompressed at
//! once; the messages that come out are those that another reader finds, none longer than allowed; and
//! what was compressed comes out again.

#![no_main]

use flate2::{Compress, Compression, FlushCompress};
use libfuzzer_sys::fuzz_target;
use perijove_fuzz::pubsub::deflate::{Data, LONGEST, messages, reference, uncompressed};

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = (usize::from(input.0) + 1, input.1);
    check(bytes, piece);
    let (frames, compressed) = sent(bytes, piece);
    let seen = check(&frames, piece);
    if bytes.len() <= LONGEST && compressed <= LONGEST {
        let bytes = bytes.to_vec();
        assert_eq!(
            seen,
            [Data {
                is_text: false,
                bytes
            }]
        );
    }
});

fn check(bytes: &[u8], piece: usize) -> Vec<Data> {
    let whole = uncompressed(bytes, bytes.len().max(1));
    assert_eq!(whole, uncompressed(bytes, piece));
    let seen = messages(&whole.bytes);
    assert!(seen.iter().all(|message| message.bytes.len() <= LONGEST));
    assert_eq!(seen, reference(bytes));
    seen
}

/// One message as a client sends it, compressed and in fragments; and its compressed length.
fn sent(bytes: &[u8], fragment: usize) -> (Vec<u8>, usize) {
    let mut deflated = Vec::with_capacity(bytes.len() * 2 + 1000);
    let mut compress = Compress::new(Compression::fast(), false);
    compress
        .compress_vec(bytes, &mut deflated, FlushCompress::Sync)
        .unwrap();
    deflated.truncate(deflated.len() - 4);
    let mut frames = Vec::new();
    let last = deflated.len().div_ceil(fragment).saturating_sub(1);
    for (place, payload) in deflated.chunks(fragment).enumerate() {
        let first = if place == 0 { 0x42 } else { 0 };
        frames.push(if place == last { 0x80 | first } else { first });
        frames.push(0xfe);
        frames.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        let mask = [7, 0, 0xff, 42];
        frames.extend(mask);
        frames.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
    }
    (frames, deflated.len())
}
