//! Messages by the rules of RFC 6455 and RFC 7692, frame by frame from bytes that are all there.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Data, LONGEST};

/// What a sender has taken off a message, and an empty last block.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

struct Frame {
    is_final: bool,
    is_compressed: bool,
    opcode: u8,
    payload: Vec<u8>,
}

/// A message whose last frame has not come.
struct Open {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
}

/// The messages that are data, up to the first frame that is not whole or breaks a rule, or closes.
pub fn messages(mut bytes: &[u8]) -> Vec<Data> {
    let mut all = Vec::new();
    let mut open: Option<Open> = None;
    while let Some((frame, rest)) = frame(bytes) {
        bytes = rest;
        match (frame.opcode, &mut open) {
            // Pings and pongs may come between the frames of a message.
            (9 | 10, _) if frame.is_final && !frame.is_compressed && frame.payload.len() < 126 => {
                continue;
            }
            (0, Some(message)) if !frame.is_compressed => {
                message.bytes.extend_from_slice(&frame.payload);
            }
            (1 | 2, None) => {
                open = Some(Open {
                    is_text: frame.opcode == 1,
                    is_compressed: frame.is_compressed,
                    bytes: frame.payload,
                });
            }
            _ => break,
        }
        if open.as_ref().is_some_and(|message| message.bytes.len() > LONGEST) {
            break;
        }
        if frame.is_final {
            let Some(message) = open.take().and_then(whole) else {
                break;
            };
            all.push(message);
        }
    }
    all
}

fn frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let ([first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        length => (u64::from(length), rest),
    };
    let (mask, rest) = rest.split_first_chunk::<4>()?;
    if first & 0x30 != 0 || second & 0x80 == 0 || length > LONGEST as u64 {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(length as usize)?;
    let unmasked = payload.iter().zip(mask.iter().cycle());
    let frame = Frame {
        is_final: first & 0x80 != 0,
        is_compressed: first & 0x40 != 0,
        opcode: first & 0x0f,
        payload: unmasked.map(|(byte, mask)| byte ^ mask).collect(),
    };
    Some((frame, rest))
}

fn whole(message: Open) -> Option<Data> {
    let bytes = match message.is_compressed && !message.bytes.is_empty() {
        true => inflated(&[&message.bytes, TAIL].concat())?,
        false => message.bytes,
    };
    if message.is_text && std::str::from_utf8(&bytes).is_err() {
        return None;
    }
    Some(Data {
        is_text: message.is_text,
        bytes,
    })
}

/// Streams one after the other, the last of which ends where the input does.
fn inflated(mut input: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(LONGEST + 1);
    while !input.is_empty() {
        let mut stream = Decompress::new(false);
        let status = stream.decompress_vec(input, &mut all, FlushDecompress::None).ok()?;
        if status != Status::StreamEnd || all.len() > LONGEST {
            return None;
        }
        input = &input[stream.total_in() as usize..];
    }
    Some(all)
}
