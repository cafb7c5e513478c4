//! Compressed messages in both directions, frame by frame.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::tests::agreement;
use super::*;
use crate::pubsub::notification_head::NotificationHead;
use crate::pubsub::testing::hub_with;

const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
const CALL: &str = r#"{"jsonrpc":"2.0","id":"a call","method":"getHealth"}"#;

/// First bytes and payloads.
type Frames<'a> = &'a [(u8, &'a [u8])];

struct Client {
    stream: DuplexStream,
    outbox: Arc<Outbox>,
    serving: tokio::task::JoinHandle<EndedSocket>,
}

impl Client {
    async fn open(hub: &Arc<Hub>, agreed: bool) -> Self {
        let (stream, far) = tokio::io::duplex(1 << 20);
        let client = SocketClient {
            compression: agreed.then(agreement),
            ..tests::client()
        };
        let session = SubscriberSession::new(Arc::clone(hub), far, Vec::new(), client).await;
        Self {
            stream,
            outbox: Arc::clone(&session.outbox),
            serving: tokio::spawn(session.serve()),
        }
    }

    /// Writes a frame with a mask that changes nothing.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&[first, 0xfe][..], &length, &[0; 4], payload].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The first byte and the payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let first = self.stream.read_u8().await.unwrap();
        let length = match self.stream.read_u8().await.unwrap() {
            126 => usize::from(self.stream.read_u16().await.unwrap()),
            127 => usize::try_from(self.stream.read_u64().await.unwrap()).unwrap(),
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.unwrap();
        (first, payload)
    }

    /// The next text, and whether it was compressed.
    async fn text(&mut self) -> (String, bool) {
        let (first, payload) = self.frame().await;
        assert_eq!(first & !0x40, 0x81, "a whole text");
        let is_compressed = first == 0xc1;
        let text = if is_compressed {
            inflated(&payload)
        } else {
            payload
        };
        (String::from_utf8(text).unwrap(), is_compressed)
    }

    /// The code of the close frame, and how the socket ended.
    async fn closed(mut self) -> (u16, SocketEnd) {
        let (first, payload) = self.frame().await;
        assert_eq!(first, 0x88);
        drop(self.stream);
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        (code, self.serving.await.unwrap().end)
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

fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(1 << 20);
    let input = [payload, TAIL].concat();
    let mut inflate = Decompress::new(false);
    inflate
        .decompress_vec(&input, &mut text, FlushDecompress::Sync)
        .unwrap();
    assert_eq!(inflate.total_in(), input.len() as u64);
    text
}

/// A notification without its id.
fn head(hub: &Hub, accounts: usize) -> Arc<NotificationHead> {
    let account = r#"{"lamports":1,"data":["","base64"]},"#.repeat(accounts);
    let text = format!(r#"{{"params":{{"result":[{account}0],"subscription":"#);
    NotificationHead::new(text.into(), &hub.total)
}

#[tokio::test]
async fn what_is_long_enough_is_compressed_for_clients_that_agreed_and_for_no_others() {
    let hub = hub_with(|_| {});
    let mut agreed = Client::open(&hub, true).await;
    let mut other = Client::open(&hub, false).await;
    let (short, long) = (head(&hub, 10), head(&hub, 1000));
    for (id, client) in [(7, &agreed), (8, &other)] {
        assert!(client.outbox.notify(&short, id) && client.outbox.notify(&long, id));
        client.outbox.answer(vec![b' '; 200_000].into(), &[]);
    }
    let mut seen = Vec::new();
    for client in [&mut agreed, &mut other] {
        for _ in 0..3 {
            seen.push(client.text().await);
        }
    }
    let were_compressed: Vec<bool> = seen.iter().map(|(_, compressed)| *compressed).collect();
    assert_eq!(were_compressed, [false, true, true, false, false, false]);
    for place in 0..3 {
        let (one, other) = (&seen[place].0, &seen[place + 3].0);
        assert_eq!(&one.replace(":7}}", ":8}}"), other);
    }
    drop((agreed.stream, other.stream));
    let (agreed, other) = (agreed.serving.await.unwrap(), other.serving.await.unwrap());
    assert_eq!((agreed.compressed, other.compressed), (2, 0));
    assert_eq!((agreed.bytes, agreed.notifications), (other.bytes, 2));
}

#[tokio::test]
async fn calls_are_understood_compressed_and_not() {
    let hub = hub_with(|_| {});
    let mut client = Client::open(&hub, true).await;
    let payload = deflated(CALL.as_bytes());
    client.send(0xc1, &payload).await;
    assert!(client.text().await.0.contains(r#""id":"a call""#));
    client.send(0x81, CALL.as_bytes()).await;
    assert!(client.text().await.0.contains(r#""id":"a call""#));
    // In fragments, with a ping between them.
    client.send(0x41, &payload[..5]).await;
    client.send(0x89, b"ping").await;
    client.send(0x80, &payload[5..]).await;
    assert_eq!(client.frame().await, (0x8a, b"ping".to_vec()));
    assert!(client.text().await.0.contains(r#""id":"a call""#));
    // Nothing, which is no call.
    for nothing in [&[0][..], &[]] {
        client.send(0xc1, nothing).await;
        assert!(client.text().await.0.contains("-32700"));
    }
    drop(client.stream);
    assert_eq!(client.serving.await.unwrap().messages, 5);
}

#[tokio::test]
async fn a_message_is_no_larger_than_allowed_in_however_many_fragments_it_is_compressed() {
    let hub = hub_with(|config| config.websocket.max_message = 4096);
    let mut client = Client::open(&hub, true).await;
    // Empty blocks, of which nothing comes out.
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(400);
    client.send(0x41, &blocks).await;
    client.send(0x00, &blocks).await;
    client.send(0x00, &blocks).await;
    let (code, end) = client.closed().await;
    assert_eq!((code, end), (1009, SocketEnd::TooLarge));
}

#[tokio::test]
async fn a_message_is_no_larger_than_allowed_however_small_it_was_compressed() {
    let hub = hub_with(|config| config.websocket.max_message = 4096);
    for (spaces, code) in [
        (4096 - CALL.len(), None),
        (4097 - CALL.len(), Some(1009)),
        (10 << 20, Some(1009)),
    ] {
        let mut client = Client::open(&hub, true).await;
        let bomb = deflated(&[CALL.as_bytes(), &vec![b' '; spaces]].concat());
        client.send(0xc1, &bomb[..bomb.len().min(4096)]).await;
        match code {
            None => assert!(client.text().await.0.contains(r#""id":"a call""#)),
            Some(code) => assert_eq!(client.closed().await, (code, SocketEnd::TooLarge)),
        }
    }
}

#[tokio::test]
async fn what_breaks_the_rules_ends_the_socket_with_the_right_code() {
    let hub = hub_with(|_| {});
    let text = deflated(CALL.as_bytes());
    let latin = deflated(b"\"\xe4\"");
    let (corrupt, not_text, malformed) =
        (SocketEnd::Corrupt, SocketEnd::NotText, SocketEnd::Malformed);
    let cases: [(bool, Frames<'_>, u16, SocketEnd); 10] = [
        // Cut off, garbage, and what is no text.
        (true, &[(0xc1, &text[..9])], 1007, corrupt),
        (true, &[(0xc1, b"\xff\xff\xff")], 1007, corrupt),
        (true, &[(0xc1, &latin)], 1007, not_text),
        // The bit on a control frame and on a continuation, other bits, a message within another.
        (true, &[(0xc9, b"")], 1002, malformed),
        (true, &[(0x41, &text), (0xc0, b"")], 1002, malformed),
        (true, &[(0xe1, &text)], 1002, malformed),
        (true, &[(0x41, &text), (0xc1, &text)], 1002, malformed),
        (true, &[(0x41, &text), (0x81, b"[]")], 1002, malformed),
        (true, &[(0x01, b"["), (0xc1, &text)], 1002, malformed),
        // Not agreed.
        (false, &[(0xc1, &text)], 1002, malformed),
    ];
    for (agreed, frames, code, end) in cases {
        let mut client = Client::open(&hub, agreed).await;
        for (first, payload) in frames {
            client.send(*first, payload).await;
        }
        assert_eq!(client.closed().await, (code, end), "{frames:?}");
    }
}
