//! The steps of an attempt on its connection: writing the request, reading the head, reading the
//! body as far as it fits into the buffer. The caller decides what to do when a step fails.

use std::io;
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, Sleep};

use super::progress::AttemptProgress;
use super::wire_request::WireRequest;
use crate::framing::BodyChunk;
use crate::solana::FaultKind;
use crate::upstream::client::reply::AttemptLimits;
use crate::upstream::http1::connection::Http1Connection;
use crate::upstream::http1::response::{Parsed, ResponseHead, parse_head};
use crate::upstream::transport::bad_response::BadResponse;
use crate::upstream::transport::coding::DecodedBody;
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::timer::within;

/// Space for a response of unknown size, and the most that is guessed from the last one.
const LEAST_ROOM: usize = 2 * 1024;
pub(super) const MOST_ROOM: usize = 256 * 1024;
/// Reading a little more than expected shows the runtime that nothing is left to read.
const SLACK: usize = 64;

/// A fault of a connection, and whether it may simply have been dead.
pub(super) struct ConnectionFault {
    pub(super) fault: TransportFault,
    pub(super) silent: bool,
}

/// The head of the answer to a request of this kind, with the fields that are handed on.
pub(super) type HeadOf<R> = (ResponseHead, <R as WireRequest>::Fields);

/// What is sent, and by when the answer must be there.
pub(super) struct Http1Exchange<'a, R> {
    pub(super) request: &'a R,
    pub(super) limits: &'a AttemptLimits,
    pub(super) start: Instant,
    pub(super) total: Instant,
}

impl<R> Http1Exchange<'_, R> {
    /// Why there is no connection, which the upstream had until `connect` to accept: it did not
    /// fail if the caller's time ended first.
    pub(super) fn cut(&self, kind: FaultKind, connect: Instant) -> FaultKind {
        match kind {
            FaultKind::ConnectTimeout | FaultKind::Dns
                if self.total < connect && self.total <= Instant::now() =>
            {
                FaultKind::NoTime
            }
            _ => kind,
        }
    }
}

/// As much of a body as was read into the buffer.
pub(super) enum BufferedBody {
    Whole(Bytes),
    Beginning(Bytes),
}

/// Writes the request, counting what was accepted so that a failure can report it.
pub(super) async fn send(connection: &mut Http1Connection, written: &mut usize) -> io::Result<()> {
    while let Some(rest) = connection
        .output
        .get(*written..)
        .filter(|rest| !rest.is_empty())
    {
        match connection.stream.write(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            taken => *written += taken,
        }
    }
    connection.stream.flush().await
}

/// The head of the answer, and the fields in it that are handed on.
pub(super) async fn read_head<R: WireRequest>(
    connection: &mut Http1Connection,
    exchange: &Http1Exchange<'_, R>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<HeadOf<R>, ConnectionFault> {
    let loud = |kind| ConnectionFault {
        fault: TransportFault::after(kind),
        silent: false,
    };
    let first_byte = exchange
        .total
        .min(Instant::now() + exchange.limits.first_byte);
    let room = connection.last_response.clamp(LEAST_ROOM, MOST_ROOM);
    connection.input.reserve(room);
    match within(timer, first_byte, connection.receive()).await {
        None if first_byte == exchange.total => return Err(loud(FaultKind::TotalTimeout)),
        None => return Err(loud(FaultKind::FirstByteTimeout)),
        Some(Ok(0) | Err(_)) => {
            return Err(ConnectionFault {
                fault: TransportFault::after(FaultKind::Reset),
                silent: true,
            });
        }
        Some(Ok(_)) => {}
    }
    let mut progress = None;
    loop {
        match skip_to_final(&mut connection.input, R::fields_of_head) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) => connection.input.reserve(LEAST_ROOM),
            Err(bad) => {
                return Err(ConnectionFault {
                    fault: bad.into(),
                    silent: false,
                });
            }
        }
        match read_on(connection, &mut progress, None, exchange, timer).await {
            Err(kind) => return Err(loud(kind)),
            Ok(Ok(0)) => return Err(loud(FaultKind::Truncated)),
            Ok(Err(_)) => return Err(loud(FaultKind::Reset)),
            Ok(Ok(_)) => {}
        }
    }
}

/// One read of an answer that has begun; `missing` bytes are outstanding, if known. The clock is
/// read only if an answer does not arrive in one piece.
async fn read_on<R>(
    connection: &mut Http1Connection,
    progress: &mut Option<AttemptProgress>,
    missing: Option<u64>,
    exchange: &Http1Exchange<'_, R>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<io::Result<usize>, FaultKind> {
    let window = exchange.limits.progress;
    let progress = progress.get_or_insert_with(|| AttemptProgress::begin(window, Instant::now()));
    loop {
        let until = progress.until().min(exchange.total);
        if let Some(read) = within(timer, until, connection.receive()).await {
            progress.came(read.as_ref().copied().unwrap_or_default());
            return Ok(read);
        }
        progress.look(missing, exchange.total)?;
    }
}

/// Takes a head off the input, and interim responses before it.
fn skip_to_final<F>(
    input: &mut BytesMut,
    fields: impl Fn(&[u8]) -> F,
) -> Result<Option<(ResponseHead, F)>, BadResponse> {
    loop {
        match parse_head(input)? {
            Parsed::Partial => return Ok(None),
            Parsed::Interim { length } => {
                input.advance(length);
            }
            Parsed::Final { head, length } => {
                let fields = fields(input.get(..length).unwrap_or_default());
                input.advance(length);
                return Ok(Some((head, fields)));
            }
        }
    }
}

/// A body of known length, or as much of it as the buffer holds: as long as the caller has seen nothing,
/// another upstream can be asked. Space for it at once, so that nothing is moved.
pub(super) async fn gather_known<R>(
    connection: &mut Http1Connection,
    body: &mut DecodedBody,
    length: u64,
    exchange: &Http1Exchange<'_, R>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<BufferedBody, TransportFault> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let wanted = length.min(exchange.limits.answer_buffer);
    let whole = wanted == length;
    let mut progress = None;
    while connection.input.len() < wanted {
        let missing = wanted - connection.input.len();
        connection.input.reserve(missing + SLACK);
        let missing = Some(missing as u64);
        read_more(connection, body, &mut progress, missing, exchange, timer).await?;
    }
    let bytes = match body.take(&mut connection.input)? {
        BodyChunk::Data(bytes) => bytes,
        BodyChunk::More | BodyChunk::End => Bytes::new(),
    };
    Ok(if whole {
        BufferedBody::Whole(bytes)
    } else {
        BufferedBody::Beginning(bytes)
    })
}

/// A body of unknown length, until its end or the buffer limit.
pub(super) async fn gather<R>(
    connection: &mut Http1Connection,
    body: &mut DecodedBody,
    exchange: &Http1Exchange<'_, R>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<BufferedBody, TransportFault> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut progress = None;
    loop {
        match body.take(&mut connection.input)? {
            BodyChunk::Data(bytes) if first.is_empty() => first = bytes,
            BodyChunk::Data(bytes) => {
                if joined.is_empty() {
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&bytes);
            }
            BodyChunk::End => return Ok(BufferedBody::Whole(join(first, joined))),
            BodyChunk::More => {
                connection.input.reserve(16 * 1024);
                if read_more(connection, body, &mut progress, None, exchange, timer).await? == 0 {
                    return Ok(BufferedBody::Whole(join(first, joined)));
                }
            }
        }
        if first.len().max(joined.len()) > exchange.limits.answer_buffer {
            return Ok(BufferedBody::Beginning(join(first, joined)));
        }
    }
}

/// The common case of one piece needs no copy.
fn join(first: Bytes, joined: BytesMut) -> Bytes {
    if joined.is_empty() {
        first
    } else {
        joined.freeze()
    }
}

/// Continues reading, within the limits. 0 only if the body may end with the connection.
async fn read_more<R>(
    connection: &mut Http1Connection,
    body: &mut DecodedBody,
    progress: &mut Option<AttemptProgress>,
    missing: Option<u64>,
    exchange: &Http1Exchange<'_, R>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<usize, TransportFault> {
    match read_on(connection, progress, missing, exchange, timer).await {
        Err(kind) => Err(TransportFault::after(kind)),
        Ok(Err(_)) => Err(TransportFault::after(FaultKind::Reset)),
        Ok(Ok(0)) => {
            body.close()?;
            Ok(0)
        }
        Ok(Ok(read)) => Ok(read),
    }
}
