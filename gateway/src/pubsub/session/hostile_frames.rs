//! Frames and messages as no honest client sends them, on sockets with and without compression. Whatever
//! arrives: what goes out is well-formed, the session ends once its client has left, nothing of it
//! remains, and other clients are served.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

use super::*;

/// Most bytes of a message here.
const MAX_MESSAGE: usize = 4096;
/// Longer than a session waits for anything.
const LONG: Duration = Duration::from_mins(10);

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
/// The reserved bit of a compressed message.
const COMPRESSED: u8 = 0x40;
/// What is taken off a compressed message.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

const MESSAGES: [&str; 14] = [
    "",
    "ping",
    "[]",
    "{",
    r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"getHealth"},{"jsonrpc":"2.0","id":2,"method":"slotSubscribe"}]"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"slotSubscribe"}"#,
    r#"{"jsonrpc":"2.0","method":"slotSubscribe"}"#,
    r#"{"jsonrpc":"2.0","id":4,"method":"slotUnsubscribe","params":[1]}"#,
    r#"{"jsonrpc":"2.0","id":5,"method":"accountUnsubscribe","params":[-1]}"#,
    r#"{"jsonrpc":"2.0","id":6,"method":"logsSubscribe","params":["all"]}"#,
    r#"{"jsonrpc":"2.0","id":7,"method":"accountSubscribe","params":["11111111111111111111111111111111"]}"#,
    r#"{"jsonrpc":"2.0","id":8,"method":"accountSubscribe","params":[{"a":[[[[[[]]]]]]}]}"#,
    r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":1},"subscription":1}}"#,
];

/// What a client writes at once.
#[derive(Clone, Debug)]
enum Written {
    Frame(ClientFrame),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
struct ClientFrame {
    /// FIN, the reserved bits, and the opcode.
    first: u8,
    masked: bool,
    /// What it says of its length, if not the truth.
    declared: Option<u64>,
    payload: Vec<u8>,
}

impl ClientFrame {
    fn text(payload: &str) -> Self {
        Self {
            first: 0x80 | TEXT,
            masked: true,
            declared: None,
            payload: payload.as_bytes().to_vec(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mask = [7, 0, 0xff, 42];
        let flag = if self.masked { 0x80 } else { 0 };
        let declared = self.declared.unwrap_or(self.payload.len() as u64);
        let mut bytes = vec![self.first];
        match declared {
            ..126 => bytes.push(flag | u8::try_from(declared).unwrap()),
            126..65_536 => {
                bytes.push(flag | 0x7e);
                bytes.extend(u16::try_from(declared).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(flag | 0x7f);
                bytes.extend(declared.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(mask);
            let payload = self.payload.iter().zip(mask.iter().cycle());
            bytes.extend(payload.map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(text.len() + 1000);
    Compress::new(Compression::fast(), false)
        .compress_vec(text, &mut payload, FlushCompress::Sync)
        .unwrap();
    payload.truncate(payload.len() - TAIL.len());
    payload
}

/// A compressed message: whole, cut into fragments, corrupt, or far too large once decompressed.
fn compressed() -> impl Strategy<Value = Vec<Written>> {
    let texts = prop_oneof![
        6 => prop::sample::select(MESSAGES.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => Just(vec![b' '; 100 * MAX_MESSAGE]),
        1 => Just(vec![0xff; 100]),
    ];
    let damage = prop_oneof![
        4 => Just(None),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(Some),
    ];
    let parts = (
        texts,
        damage,
        any::<prop::sample::Index>(),
        any::<bool>(),
        0..20_u8,
    );
    parts.prop_map(|(text, damage, cut, whole, odd)| {
        let mut payload = deflated(&text);
        if let Some((place, byte)) = damage {
            *place.get_mut(&mut payload[..]) = byte;
        }
        let frame = |first, payload: &[u8]| {
            Written::Frame(ClientFrame {
                first,
                payload: payload.to_vec(),
                ..ClientFrame::text("")
            })
        };
        let (begin, end) = payload.split_at(cut.index(payload.len()));
        match (whole, odd) {
            (true, _) => vec![frame(0x80 | COMPRESSED | TEXT, &payload)],
            // The bit where it must not be, the message cut off, and another one within it.
            (false, 0) => vec![
                frame(COMPRESSED | TEXT, begin),
                frame(0x80 | COMPRESSED, end),
            ],
            (false, 1) => vec![frame(0x80 | COMPRESSED | TEXT, begin)],
            (false, 2) => vec![
                frame(COMPRESSED | TEXT, begin),
                frame(0x80 | COMPRESSED | TEXT, end),
            ],
            (false, 3) => vec![frame(COMPRESSED | TEXT, begin)],
            (false, _) => vec![
                frame(COMPRESSED | TEXT, begin),
                frame(0x89, b"between"),
                frame(0x80, end),
            ],
        }
    })
}

fn written() -> impl Strategy<Value = Written> {
    let message = || prop::sample::select(MESSAGES.to_vec());
    let payload = prop_oneof![
        3 => message().prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..300),
        1 => Just(vec![b'['; MAX_MESSAGE]),
    ];
    let declared = prop_oneof![
        4 => Just(None),
        1 => any::<u64>().prop_map(Some),
        1 => (0_u64..200).prop_map(Some),
    ];
    let odd = (any::<u8>(), any::<bool>(), declared, payload).prop_map(
        |(first, masked, declared, payload)| ClientFrame {
            first,
            masked,
            declared,
            payload,
        },
    );
    // Fragments, pings, pongs and closes that are well-formed in themselves, in any order.
    let begun = prop::sample::select(vec![0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a]);
    let fragment = (begun, message()).prop_map(|(first, text)| ClientFrame {
        first,
        payload: text.as_bytes()[..text.len().min(125)].to_vec(),
        ..ClientFrame::text("")
    });
    prop_oneof![
        6 => message().prop_map(|text| Written::Frame(ClientFrame::text(text))),
        4 => fragment.prop_map(Written::Frame),
        2 => odd.prop_map(Written::Frame),
        1 => vec(any::<u8>(), 1..40).prop_map(Written::Bytes),
    ]
}

/// Checks what the gateway has sent: whole frames without masks or reserved bits, but for the one of a
/// compressed text where that was agreed, texts that are JSON, and nothing after a close frame.
fn assert_well_formed(mut sent: &[u8], agreed: bool) {
    let mut closed = false;
    while let [first, second, rest @ ..] = sent {
        assert!(!closed, "nothing follows a close frame");
        let opcode = first & 0x0f;
        let is_compressed = agreed && first & COMPRESSED != 0 && opcode == TEXT;
        let bits = if is_compressed { 0xc0 } else { 0x80 };
        assert_eq!(first & 0xf0, bits, "whole, no reserved bits");
        assert!(matches!(opcode, 1 | 8..=10), "opcode {opcode}");
        let (length, rest) = match *second {
            length @ ..126 => (usize::from(length), rest),
            126 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            longer => panic!("length byte {longer}"),
        };
        let (payload, rest) = rest.split_at(length);
        if opcode == TEXT {
            let mut text = payload.to_vec();
            if is_compressed {
                text = Vec::with_capacity(1 << 16);
                let payload = [payload, TAIL].concat();
                let mut inflate = Decompress::new(false);
                let inflated = inflate.decompress_vec(&payload, &mut text, FlushDecompress::Sync);
                inflated.unwrap();
            }
            let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert!(text.is_object() || text.is_array(), "{text}");
        }
        closed = opcode == CLOSE;
        sent = rest;
    }
    assert!(sent.is_empty(), "a frame was cut");
}

/// A client that writes these, reads everything, and leaves.
async fn hostile_client(hub: &Arc<Hub>, pieces: &[Written], agreed: bool) {
    let (near, far) = tokio::io::duplex(1024);
    let client = SocketClient {
        compression: agreed.then(tests::agreement),
        ..tests::client()
    };
    let session = SubscriberSession::new(Arc::clone(hub), far, Vec::new(), client).await;
    let serving = tokio::spawn(session.serve());
    let (mut reads, mut writes) = split(near);
    let reading = tokio::spawn(async move {
        let mut sent = Vec::new();
        reads.read_to_end(&mut sent).await.unwrap();
        sent
    });
    for piece in pieces {
        let bytes = match piece {
            Written::Frame(frame) => frame.bytes(),
            Written::Bytes(bytes) => bytes.clone(),
        };
        if writes.write_all(&bytes).await.is_err() {
            break;
        }
    }
    drop(writes.shutdown().await);
    let ended = timeout(LONG, serving).await;
    ended.expect("the session has ended").unwrap();
    assert_well_formed(&reading.await.unwrap(), agreed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_frames_harm_nobody_and_leave_nothing(
        pieces in vec(prop_oneof![
            3 => written().prop_map(|one| vec![one]),
            1 => compressed(),
        ], 0..24),
        agreed in any::<bool>(),
    ) {
        let pieces = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let hub = crate::pubsub::testing::hub_with(|config| {
                config.websocket.max_message = MAX_MESSAGE;
                config.websocket.compression.min_bytes = 0;
            });
            let (mut other, _serving) = tests::pair(&hub).await;
            hostile_client(&hub, &pieces, agreed).await;
            let status = hub.status();
            prop_assert_eq!(&status["subscriptions"], 0);
            prop_assert_eq!(&status["shared_subscriptions"], 0);
            prop_assert_eq!(&status["waiting_bytes"], 0);
            other.send(Message::text(MESSAGES[4])).await.unwrap();
            prop_assert!(tests::text(&mut other).await.contains(r#""id":1"#));
            Ok(())
        })?;
    }
}
