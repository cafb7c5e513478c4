//! One request and its response, whatever the HTTP version: what the rest of the edge needs to know
//! of a session.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, EXPECT};

use super::body::BodyFault;
use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::reply::{PacedHttp2, ResponseWriter};
use crate::context::Protocol;

/// A session of HTTP/1 ([`super::http1`]) or of HTTP/2 (Pingora's).
pub(super) trait HttpSession {
    fn method(&self) -> &Method;

    fn path(&self) -> &str;

    fn query(&self) -> Option<&str>;

    fn fields(&self) -> RequestFields<'_>;

    /// The first field of this name, which is in lower case.
    fn field(&self, name: &str) -> Option<&[u8]>;

    fn protocol(&self) -> Protocol;

    /// The connection it came on.
    fn tracked(&self) -> &Arc<TrackedConnection>;

    /// Whether the client asks for WebSocket, and for nothing else.
    fn asks_for_websocket(&self) -> bool;

    /// The announced length of the body, if any.
    fn announced(&self) -> Option<usize>;

    /// Sends `100 Continue`, if the client waits for it.
    async fn invite(&mut self) -> Result<(), BodyFault>;

    /// The next piece of the body; `None` at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, BodyFault>;

    /// Resolves when the client has closed its connection, or reset its stream.
    async fn gone(&mut self);

    /// Nothing more can be read from this client.
    fn close(&mut self);

    /// The writer of the answer.
    fn wire(&mut self) -> impl ResponseWriter;
}

/// HTTP/2.
impl HttpSession for PacedHttp2<'_> {
    fn method(&self) -> &Method {
        &self.session.req_header().method
    }

    fn path(&self) -> &str {
        self.session.req_header().uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.session.req_header().uri.query()
    }

    fn fields(&self) -> RequestFields<'_> {
        let headers = self.session.req_header().headers.iter();
        RequestFields::of(headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        let value = self.session.req_header().headers.get(name)?;
        Some(value.as_bytes())
    }

    fn protocol(&self) -> Protocol {
        Protocol::Http2
    }

    fn tracked(&self) -> &Arc<TrackedConnection> {
        self.tracked
    }

    /// HTTP/2 has no `upgrade`.
    fn asks_for_websocket(&self) -> bool {
        false
    }

    fn announced(&self) -> Option<usize> {
        let length = self.session.get_header(CONTENT_LENGTH)?.to_str().ok()?;
        length.trim().parse().ok()
    }

    async fn invite(&mut self) -> Result<(), BodyFault> {
        if self.session.get_header(EXPECT).is_some() {
            let written = self.session.write_continue_response().await;
            return written.map_err(|_gone| BodyFault::Gone);
        }
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, BodyFault> {
        let read = self.session.read_request_body().await;
        read.map_err(|_gone| BodyFault::Gone)
    }

    async fn gone(&mut self) {
        if self.session.read_body_or_idle(true).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    fn close(&mut self) {
        self.session.set_keepalive(None);
    }

    fn wire(&mut self) -> impl ResponseWriter {
        self
    }
}
