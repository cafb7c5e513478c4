//! One request and its response, whatever the HTTP version: what the rest of the edge needs to know
//! of a session.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::response_writer::ResponseWriter;
use crate::context::Protocol;
use crate::error::Rejection;

/// A session of HTTP/1 ([`super::http1`]) or of HTTP/2 ([`super::paced_http2`]).
pub(super) trait HttpSession {
    fn method(&self) -> &Method;

    fn path(&self) -> &str;

    fn query(&self) -> Option<&str>;

    fn fields(&self) -> RequestFields<'_>;

    /// The values of every field of this name, which is in lower case.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// The first of them.
    fn field<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// All of them as the one list that they are (RFC 9110 §5.3).
    fn list<'a>(&'a self, name: &'a str) -> Option<Cow<'a, [u8]>> {
        let mut values = self.values(name);
        let mut list = Cow::Borrowed(values.next()?);
        for value in values {
            let list = list.to_mut();
            list.extend_from_slice(b", ");
            list.extend_from_slice(value);
        }
        Some(list)
    }

    fn protocol(&self) -> Protocol;

    /// The connection it came on.
    fn tracked(&self) -> &Arc<TrackedConnection>;

    /// Whether the client asks for WebSocket, and for nothing else.
    fn asks_for_websocket(&self) -> bool;

    /// Bytes of its head, which is kept for as long as the request is.
    fn head_bytes(&self) -> usize;

    /// The announced length of the body, if any.
    fn announced(&self) -> Option<usize>;

    /// The body is about to be read: sends `100 Continue` if the client waits for it and that is possible.
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

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// The client gets this answer.
    Rejected(Rejection),
    /// The client has disconnected.
    Gone,
}
