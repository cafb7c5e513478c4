//! A request over HTTP/1 that is not simple: parsed strictly, with any framing of its body, and
//! answered as its version requires.
//!
//! Pingora's session parses requests more leniently (it corrects targets, prefers one length to
//! another, takes an empty line for a chunk size), so that two servers in a row could disagree
//! about a request. It is not used for HTTP/1.

pub(super) mod connection;
pub(super) mod request;
#[cfg(test)]
mod tests;
pub(super) mod wire;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::connection::Http1Connection;
use self::request::ParsedRequest;
use self::wire::{DirectWrite, WriteMode};
use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::response_writer::ResponseWriter;
use super::session::{BodyFault, HttpSession};
use crate::config::Limits;
use crate::context::Protocol;
use crate::error::Rejection;
use crate::framing::{BodyChunk, BodyReader, Framing};

/// Bytes read from the connection at once.
const ROOM: usize = 16 * 1024;

/// A request with its parsed head, on its connection.
pub(super) struct Http1<'c> {
    /// What is unread begins with the body.
    connection: &'c mut Http1Connection,
    request: &'c ParsedRequest,
    body: BodyReader,
    /// Bytes of the body that were taken.
    taken: u64,
    mode: WriteMode,
    tracked: &'c Arc<TrackedConnection>,
    limits: &'c Limits,
    /// The client waits for `100 Continue`.
    expected: bool,
}

impl<'c> Http1<'c> {
    pub(super) fn new(
        connection: &'c mut Http1Connection,
        request: &'c ParsedRequest,
        (tracked, limits): (&'c Arc<TrackedConnection>, &'c Limits),
    ) -> Self {
        let mode = WriteMode::for_request(
            request.keeps_alive,
            request.is_current,
            request.method == Method::HEAD,
        );
        Self {
            connection,
            request,
            body: BodyReader::new(request.framing),
            taken: 0,
            mode,
            tracked,
            limits,
            expected: request.expects_continue,
        }
    }

    /// The writer of the answer.
    pub(super) fn direct(&mut self) -> DirectWrite<'_> {
        // A short unread body may be complete; the rest of a longer one would be taken for the next
        // request.
        while let Ok(BodyChunk::Data(_unwanted)) = self.body.take(&mut self.connection.unread) {}
        if !self.body.is_done() {
            self.mode.close();
        }
        let Http1Connection { stream, buffer, .. } = &mut *self.connection;
        let mode = &mut self.mode;
        DirectWrite::new(stream, buffer, mode, self.tracked, self.limits)
    }

    /// Refuses a body as soon as a chunk announces that it will be too long.
    fn fits(&self) -> Result<(), BodyFault> {
        let limit = self.limits.max_body;
        let length = self.taken.saturating_add(self.body.announced());
        if usize::try_from(length).is_ok_and(|length| length <= limit) {
            return Ok(());
        }
        Err(BodyFault::Rejected(Rejection::BodyTooLarge { limit }))
    }

    /// What becomes of the connection after the exchange.
    pub(super) fn ends(&mut self) -> ConnectionEnd {
        if self.mode.is_cut_short() {
            ConnectionEnd::Reset
        } else if !self.body.is_done() {
            ConnectionEnd::Unread
        } else if self.mode.keeps_alive() {
            ConnectionEnd::GoesOn
        } else {
            ConnectionEnd::Closes
        }
    }
}

/// What happens with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    GoesOn,
    Closes,
    /// It is closed with a part of the request unread.
    Unread,
    /// The client would take the end of the connection for the end of the answer.
    Reset,
}

impl HttpSession for Http1<'_> {
    fn method(&self) -> &Method {
        &self.request.method
    }

    fn path(&self) -> &str {
        &self.request.path
    }

    fn query(&self) -> Option<&str> {
        self.request.query.as_deref()
    }

    fn fields(&self) -> RequestFields<'_> {
        self.request.fields()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.request.values(name)
    }

    fn protocol(&self) -> Protocol {
        Protocol::Http1
    }

    fn tracked(&self) -> &Arc<TrackedConnection> {
        self.tracked
    }

    fn asks_for_websocket(&self) -> bool {
        self.request.asks_for_websocket
    }

    fn head_bytes(&self) -> usize {
        self.request.head_bytes()
    }

    fn announced(&self) -> Option<usize> {
        match self.request.framing {
            Framing::Length(length) => Some(usize::try_from(length).unwrap_or(usize::MAX)),
            Framing::Chunked | Framing::UntilClose => None,
        }
    }

    async fn invite(&mut self) -> Result<(), BodyFault> {
        // A client that has sent some of it does not wait.
        if !std::mem::take(&mut self.expected)
            || !self.connection.unread.is_empty()
            || self.body.is_done()
        {
            return Ok(());
        }
        let asked = async {
            let stream = &mut self.connection.stream;
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            stream.flush().await
        };
        asked.await.map_err(|_gone| BodyFault::Gone)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            let taken = self
                .body
                .take(&mut self.connection.unread)
                .map_err(|_malformed| {
                    BodyFault::Rejected(Rejection::BadHttp {
                        reason: "a chunk of the body is malformed",
                    })
                });
            match taken {
                Ok(BodyChunk::Data(piece)) => {
                    self.taken += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Ok(BodyChunk::End) => return Ok(None),
                Ok(BodyChunk::More) => self.fits()?,
                Err(malformed) => {
                    self.close();
                    return Err(malformed);
                }
            }
            let Http1Connection { stream, unread, .. } = &mut *self.connection;
            unread.reserve(ROOM);
            match stream.read_buf(unread).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(BodyFault::Gone),
            }
        }
    }

    async fn gone(&mut self) {
        self.connection.gone().await;
    }

    fn close(&mut self) {
        self.mode.close();
    }

    fn wire(&mut self) -> impl ResponseWriter {
        self.direct()
    }
}
