//! What a reader gets of a client's frames, however they arrive.

use flate2::{Compress, Compression, FlushCompress};
use prometheus::IntCounter;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// The most bytes of a frame here.
const LONGEST: usize = 10_000;

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len() + 1000);
    Compress::new(Compression::fast(), false)
        .compress_vec(text, &mut output, FlushCompress::Sync)
        .unwrap();
    assert!(output.ends_with(&[0, 0, 0xff, 0xff]));
    output.truncate(output.len() - 4);
    output
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 0, 0xff, 42];
    let mut bytes = vec![first];
    match payload.len() {
        length @ ..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// A frame as the reader gets it, its payload unmasked.
type Frame = (u8, Vec<u8>);

fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            length => (usize::from(length), rest),
        };
        let (mask, rest) = rest.split_at(4);
        let (payload, rest) = rest.split_at(length);
        let payload = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        all.push((*first, payload.collect()));
        bytes = rest;
    }
    all
}

/// Whole messages and control frames, by their first byte.
fn messages(frames: &[Frame]) -> Vec<Frame> {
    let mut all: Vec<Frame> = Vec::new();
    let mut partial: Option<Frame> = None;
    for (first, payload) in frames {
        match (first & 0x0f, &mut partial) {
            (8.., _) => all.push((*first, payload.clone())),
            (0, Some(message)) => message.1.extend(payload),
            (_, None) => partial = Some((first & 0x0f, payload.clone())),
            other => panic!("{other:?}"),
        }
        if first & 0x80 != 0 && first & 0x0f < 8 {
            all.extend(partial.take());
        }
    }
    all
}

/// What the reader gets of these bytes, which arrive in pieces.
async fn read(bytes: &[u8], unread: usize, piece: usize) -> (Vec<u8>, io::Result<()>) {
    let inflaters = Inflaters::new(1, IntCounter::new("received", "-").unwrap());
    let (mut near, far) = tokio::io::duplex(piece);
    let (early, late) = bytes.split_at(unread.min(bytes.len()));
    let mut stream = InflatingStream::agreed(far, inflaters, early, LONGEST);
    let writing = async {
        near.write_all(late).await.unwrap();
        drop(near);
    };
    let reading = async {
        let mut all = Vec::new();
        let mut buffer = vec![0; piece];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return (all, Ok(())),
                Ok(count) => all.extend(&buffer[..count]),
                Err(error) => {
                    // Whatever else the client writes.
                    tokio::io::copy(stream.get_mut(), &mut tokio::io::sink())
                        .await
                        .unwrap();
                    return (all, Err(error));
                }
            }
        }
    };
    tokio::join!(writing, reading).1
}

async fn whole(bytes: &[u8]) -> Vec<Frame> {
    let (read, end) = read(bytes, 0, 1000).await;
    end.unwrap();
    frames(&read)
}

async fn corrupt(bytes: &[u8]) {
    let (_, end) = read(bytes, 0, 1000).await;
    assert!(is_corrupt(&end.unwrap_err()), "{bytes:?}");
}

#[tokio::test]
async fn a_small_message_becomes_one_frame() {
    // The example of RFC 7692 §7.2.3.1, and the same in two fragments.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    assert_eq!(
        whole(&frame(0xc1, &hello)).await,
        [(0x81, b"Hello".to_vec())]
    );
    let halves = [frame(0x41, &hello[..3]), frame(0x80, &hello[3..])].concat();
    let read = whole(&halves).await;
    assert_eq!(messages(&read), [(1, b"Hello".to_vec())]);
    // Without compression, in a stored block, with a last block, in two blocks (§7.2.3.3 to .5).
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
    ];
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    for payload in [&stored[..], &last, &two] {
        assert_eq!(
            whole(&frame(0xc2, payload)).await,
            [(0x82, b"Hello".to_vec())]
        );
    }
    // Nothing, compressed; and nothing to be decompressed, whole and in pieces.
    assert_eq!(whole(&frame(0xc1, &[0])).await, [(0x81, vec![])]);
    assert_eq!(whole(&frame(0xc1, b"")).await, [(0x81, vec![])]);
    let pieces = [frame(0x42, b""), frame(0x00, b""), frame(0x80, b"")];
    let read = whole(&pieces.concat()).await;
    assert_eq!(messages(&read), [(2, vec![])]);
}

#[tokio::test]
async fn a_large_message_becomes_fragments_and_control_frames_keep_their_place() {
    let text = "a large text ".repeat(5000).into_bytes();
    let payload = deflated(&text);
    let (begin, end) = payload.split_at(100);
    let bytes = [
        frame(0x41, begin),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, end),
        frame(0x81, b"plain"),
    ];
    let read = whole(&bytes.concat()).await;
    assert!(read.iter().all(|(_, payload)| payload.len() <= 4096));
    let texts = messages(&read);
    let expected = [(0x89, b"ping".to_vec()), (1, text), (1, b"plain".to_vec())];
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn what_is_no_deflate_is_an_error() {
    let payload = deflated(b"a text that is long enough to be cut, and cut again");
    for cut in 1..payload.len() - 1 {
        corrupt(&frame(0xc1, &payload[..cut])).await;
    }
    corrupt(&frame(0xc1, b"\xff\xff\xff\xff")).await;
    corrupt(&[frame(0x41, &payload), frame(0x80, b"\x07")].concat()).await;
}

#[tokio::test]
async fn frames_against_the_rules_are_passed_on() {
    let payload = deflated(b"text");
    let begun = &frame(0x41, &payload)[..];
    let nothing = &b""[..];
    let mut unmasked = vec![0xc1, u8::try_from(payload.len()).unwrap()];
    unmasked.extend(&payload);
    let too_long = frame(0xc1, &vec![0; LONGEST + 1]);
    for (before, bad) in [
        // The reserved bit on a ping and on a continuation, and other reserved bits.
        (nothing, &frame(0xc9, b"x")),
        (nothing, &frame(0xc0, b"x")),
        (nothing, &frame(0xe1, &payload)),
        (nothing, &frame(0xd2, &payload)),
        (nothing, &frame(0xc3, &payload)),
        (nothing, &unmasked),
        (nothing, &too_long),
        (begun, &frame(0xc0, &payload)),
        (begun, &frame(0x40, &payload)),
        (begun, &frame(0xc1, &payload)),
        (begun, &frame(0x81, &payload)),
        (begun, &frame(0x90, &payload)),
    ] {
        let (read, end) = read(&[before, &bad[..]].concat(), 0, 1000).await;
        end.unwrap();
        assert!(read.ends_with(bad), "{before:?} {bad:?}");
        // The reader knows that a message has begun.
        assert_eq!(read.first() == Some(&0x01), !before.is_empty());
    }
}

#[tokio::test]
async fn the_frames_of_a_compressed_message_are_no_longer_together_than_one_may_be() {
    // Empty blocks: nothing comes out.
    let blocks = |count| [0, 0, 0, 0xff, 0xff].repeat(count);
    let rest = [blocks(LONGEST / 10 - 1), vec![0]].concat();
    let fits = [frame(0x41, &blocks(LONGEST / 10)), frame(0x80, &rest)];
    let read_whole = whole(&fits.concat()).await;
    assert_eq!(messages(&read_whole), [(1, vec![])]);
    let endless = [
        frame(0x41, &blocks(800)),
        frame(0, &blocks(800)),
        frame(0, &blocks(401)),
    ];
    let (read, end) = read(&endless.concat(), 0, 1000).await;
    end.unwrap();
    // Two empty fragments, and one that says that it is too long.
    let head = [&[0x00, 0xfe][..], &10_001_u16.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(
        read[..16],
        [
            0x01, 0x80, 0, 0, 0, 0, 0x00, 0x80, 0, 0, 0, 0, 0x00, 0xfe, 0x27, 0x11
        ]
    );
    assert!(read[12..].starts_with(&head));
}

#[tokio::test]
async fn a_client_that_is_idle_keeps_no_memory() {
    let inflaters = Inflaters::new(1, IntCounter::new("received", "-").unwrap());
    let (mut near, far) = tokio::io::duplex(1000);
    let mut stream = InflatingStream::agreed(far, inflaters, b"", LONGEST);
    near.write_all(&frame(0xc1, &deflated(b"text")))
        .await
        .unwrap();
    let mut buffer = [0; 100];
    assert_eq!(stream.read(&mut buffer).await.unwrap(), 10);
    let kept = format!("{:?}", stream.inbound.unwrap());
    assert!(
        kept.contains("message: None") && kept.contains(r#"raw: b"""#),
        "{kept}"
    );
    assert!(kept.contains(r#"ready: b"""#), "{kept}");
}

#[derive(Clone, Debug)]
struct Sent {
    text: Vec<u8>,
    compressed: bool,
    /// Where it is cut into fragments.
    cuts: Vec<prop::sample::Index>,
    ping: bool,
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let payload = if self.compressed {
            deflated(&self.text)
        } else {
            self.text.clone()
        };
        let mut ends: Vec<usize> = self
            .cuts
            .iter()
            .map(|cut| cut.index(payload.len() + 1))
            .collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let mut bytes = Vec::new();
        let mut start = 0;
        for (place, end) in ends.iter().enumerate() {
            let begins = if self.compressed { 0x41 } else { 0x01 };
            let opcode = if place == 0 { begins } else { 0 };
            let last = if place + 1 == ends.len() { 0x80 } else { 0 };
            bytes.extend(frame(opcode | last, &payload[start..*end]));
            if self.ping && last == 0 {
                bytes.extend(frame(0x89, b"between"));
            }
            start = *end;
        }
        bytes
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = prop_oneof![
        vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..20_000_usize).prop_map(|(byte, count)| vec![byte; count]),
        (0..800_usize).prop_map(|count| b"some words, ".repeat(count)),
    ];
    let cuts = vec(any::<prop::sample::Index>(), 0..4);
    (text, any::<bool>(), cuts, any::<bool>()).prop_map(|(text, compressed, cuts, ping)| Sent {
        compressed: compressed || text.len() > 9000,
        text,
        cuts,
        ping,
    })
}

proptest! {
    #[test]
    fn however_messages_are_cut_they_arrive(
        all in vec(sent(), 1..5),
        unread in 0..200_usize,
        piece in 1..600_usize,
    ) {
        let bytes: Vec<u8> = all.iter().flat_map(Sent::bytes).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (read, end) = runtime.block_on(read(&bytes, unread, piece));
        end.unwrap();
        let mut texts = messages(&frames(&read));
        texts.retain(|(opcode, _)| *opcode == 1);
        let texts: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
        let expected: Vec<_> = all.into_iter().map(|sent| sent.text).collect();
        prop_assert!(texts == expected);
    }

    #[test]
    fn whatever_arrives_is_read_to_its_end(
        payload in vec(any::<u8>(), 0..200),
        first in any::<u8>(),
        noise in vec(any::<u8>(), 0..100),
        piece in 1..600_usize,
    ) {
        let bytes = [frame(first, &payload), noise].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_, end) = runtime.block_on(read(&bytes, 0, piece));
        prop_assert!(end.is_ok() || is_corrupt(&end.unwrap_err()));
    }
}
