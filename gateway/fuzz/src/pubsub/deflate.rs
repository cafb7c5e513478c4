//! The gateway's reader of compressed messages, over bytes that are all there, with `tungstenite`
//! behind it as in the gateway; and a plain one of whole frames as a second opinion (`reference`).

mod frame_head;
mod inbound;
mod inflaters;
mod reference;

use std::io::{Cursor, Read, Write};

use prometheus::IntCounter;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use self::inbound::{FRAGMENT, InboundFrames};
use self::inflaters::Inflaters;
pub use self::reference::messages as reference;

/// Most bytes of a message, compressed or not.
pub const LONGEST: usize = 10_000;
/// The longest head of a frame.
const HEAD: usize = 14;

/// A message that is data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub is_text: bool,
    pub bytes: Vec<u8>,
}

/// What the reader behind gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncompressed {
    pub bytes: Vec<u8>,
    /// It ends because of a message that cannot be decompressed.
    pub is_corrupt: bool,
}

/// What becomes of bytes that arrive in pieces of this size, the first of them with the handshake.
pub fn uncompressed(bytes: &[u8], piece: usize) -> Uncompressed {
    let received = IntCounter::new("received", "-").unwrap();
    let (unread, late) = bytes.split_at(piece.min(bytes.len()));
    let mut frames = InboundFrames::new(Inflaters::new(1, received), unread, LONGEST);
    let mut pieces = late.chunks(piece);
    let mut all = Vec::new();
    loop {
        let Ok(taken) = frames.take(usize::MAX) else {
            return Uncompressed { bytes: all, is_corrupt: true };
        };
        // Whatever it was compressed from, little is there at once.
        assert!(taken.len() <= (FRAGMENT + 2 * HEAD).max(piece), "{}", taken.len());
        all.extend_from_slice(&taken);
        if !taken.is_empty() {
            continue;
        }
        let Some(piece) = pieces.next() else {
            return Uncompressed { bytes: all, is_corrupt: false };
        };
        let passed = frames.arrive(piece);
        all.extend_from_slice(&piece[..passed]);
    }
}

/// The messages in frames that are not compressed, up to the first that breaks a rule.
pub fn messages(bytes: &[u8]) -> Vec<Data> {
    struct Stream<'a>(Cursor<&'a [u8]>);
    impl Read for Stream<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl Write for Stream<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let stream = Stream(Cursor::new(bytes));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut all = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => all.push(Data {
                is_text: true,
                bytes: text.as_bytes().to_vec(),
            }),
            Ok(Message::Binary(bytes)) => all.push(Data {
                is_text: false,
                bytes: bytes.to_vec(),
            }),
            Ok(Message::Close(_)) | Err(_) => return all,
            Ok(_) => {}
        }
    }
}
