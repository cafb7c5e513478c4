//! How a request is put on the wire, over each version of HTTP, and what its answer is read as. The
//! client sends whatever is one, and knows no more of it.
//!
//! A JSON-RPC call goes to the upstream's own URL, with an id behind it by which its answer is known.
//! A request of an HTTP API has a verb, a target and a body of its own, and its answer is handed on as
//! it is.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use crate::jsonrpc::{Answer, MalformedAnswer, MalformedKind, RequestId};
use crate::trace::CorrelationHeaders;
use crate::upstream::client::redirect::RedirectTarget;
use crate::upstream::client::reply::UpstreamReply;
use crate::upstream::client::request::ApiRequest;
use crate::upstream::transport::endpoint::{Endpoint, Purpose};

/// Most fields of an answer's head.
const MOST_FIELDS: usize = 100;

/// Fields of an API's answer that are handed on. The others are about the connection, or about the
/// limits of the gateway's own account.
const HANDED_ON: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "etag",
    "last-modified",
    "location",
    "x-api-gateway-request-id",
];

/// The id of a request on its connection, and what the upstream is told of whose it is.
pub(super) type RequestIds<'a> = (RequestId, Option<&'a CorrelationHeaders>);

/// What can be sent to an upstream.
pub trait WireRequest: Send + Sync {
    /// A whole answer.
    type Whole: Send;
    /// Fields of an answer's head that are handed on.
    type Fields: Send;

    /// Appends head and body for HTTP/1.1, to be sent with one write.
    fn write(&self, endpoint: &Endpoint, ids: RequestIds<'_>, out: &mut Vec<u8>);

    /// Head and body for HTTP/2; none if it cannot be sent so.
    fn frames(&self, endpoint: &Endpoint, ids: RequestIds<'_>) -> Option<(Request<()>, Bytes)>;

    /// The fields that are handed on, of a head as it came over HTTP/1.1.
    fn fields_of_head(head: &[u8]) -> Self::Fields;

    /// The same over HTTP/2.
    fn fields_of(headers: &HeaderMap) -> Self::Fields;

    /// Reads the body of the answer to the request with this id.
    fn read(body: Bytes, id: RequestId) -> Self::Whole;

    /// Whether the next answer on this connection will be that of the next request.
    fn is_in_step(whole: &Self::Whole) -> bool;
}

/// The reply to a request of this kind.
pub type ReplyTo<R> = UpstreamReply<<R as WireRequest>::Whole, <R as WireRequest>::Fields>;

/// The reply to a JSON-RPC call.
pub type RpcReply = ReplyTo<RpcRequest>;

/// A JSON-RPC call, open at its end for the id.
#[derive(Clone, Debug)]
pub struct RpcRequest {
    call: Bytes,
    purpose: Purpose,
}

impl RpcRequest {
    /// A client's call. `ledger_only`: the node is told not to look into long-term storage.
    pub fn new(call: Bytes, ledger_only: bool) -> Self {
        let purpose = if ledger_only {
            Purpose::LedgerOnly
        } else {
            Purpose::Call
        };
        Self { call, purpose }
    }

    /// A call of the gateway's own.
    pub(in crate::upstream) fn probe(call: Bytes) -> Self {
        Self {
            call,
            purpose: Purpose::Probe,
        }
    }
}

impl WireRequest for RpcRequest {
    type Whole = Result<Answer, MalformedAnswer>;
    /// The server that a redirect leads to.
    type Fields = Option<RedirectTarget>;

    fn write(&self, endpoint: &Endpoint, (id, told): RequestIds<'_>, out: &mut Vec<u8>) {
        endpoint.request(&self.call, id, (self.purpose, told), out);
    }

    fn frames(
        &self,
        endpoint: &Endpoint,
        (id, told): RequestIds<'_>,
    ) -> Option<(Request<()>, Bytes)> {
        let length = self.call.len() + id.closing_length();
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(&self.call);
        id.close(&mut body);
        Some((
            endpoint.request_head(length, self.purpose, told),
            body.into(),
        ))
    }

    fn fields_of_head(head: &[u8]) -> Self::Fields {
        RedirectTarget::of_head(head)
    }

    fn fields_of(headers: &HeaderMap) -> Self::Fields {
        RedirectTarget::of(headers.get(http::header::LOCATION)?.as_bytes())
    }

    fn read(body: Bytes, id: RequestId) -> Self::Whole {
        Answer::scan_reply(body, id)
    }

    fn is_in_step(whole: &Self::Whole) -> bool {
        !matches!(whole, Err(malformed) if malformed.kind == MalformedKind::WrongId)
    }
}

impl WireRequest for ApiRequest {
    type Whole = Bytes;
    type Fields = Vec<(&'static str, Bytes)>;

    fn write(&self, endpoint: &Endpoint, (_id, told): RequestIds<'_>, out: &mut Vec<u8>) {
        let lines = endpoint.lines();
        out.reserve(self.target.len() + lines.len() + self.body.len() + 128);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        out.extend_from_slice(lines);
        let mut line = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        };
        for (name, value) in &self.fields {
            line(name, value);
        }
        if let Some(told) = told {
            told.tell(line);
        }
        if let Some(length) = self.announced_length() {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }

    fn frames(
        &self,
        endpoint: &Endpoint,
        (_id, told): RequestIds<'_>,
    ) -> Option<(Request<()>, Bytes)> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = at(endpoint.uri(), &self.target)?;
        let headers = request.headers_mut();
        headers.clone_from(endpoint.headers());
        for (name, value) in &self.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_maybe_shared(value.clone()).ok()?);
        }
        if let Some(told) = told {
            told.tell(|name, value| {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            });
        }
        if let Some(length) = self.announced_length() {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Some((request, self.body.clone()))
    }

    fn fields_of_head(head: &[u8]) -> Self::Fields {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        // It was read once already.
        if response.parse(head).is_err() {
            return Vec::new();
        }
        let fields = response.headers.iter();
        fields
            .filter_map(|field| handed_on(field.name, field.value))
            .collect()
    }

    fn fields_of(headers: &HeaderMap) -> Self::Fields {
        let fields = headers.iter();
        fields
            .filter_map(|(name, value)| handed_on(name.as_str(), value.as_bytes()))
            .collect()
    }

    fn read(body: Bytes, _id: RequestId) -> Bytes {
        body
    }

    fn is_in_step(_whole: &Bytes) -> bool {
        true
    }
}

fn handed_on(name: &str, value: &[u8]) -> Option<(&'static str, Bytes)> {
    let mut names = HANDED_ON.into_iter();
    let name = names.find(|known| known.eq_ignore_ascii_case(name))?;
    Some((name, Bytes::copy_from_slice(value)))
}

/// The same place with another path and query. Bytes that a URL must not have, which HTTP/1.1 would
/// carry all the same, are escaped.
fn at(uri: &Uri, target: &str) -> Option<Uri> {
    let with = |target: &str| {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target.parse().ok()?);
        Uri::from_parts(parts).ok()
    };
    with(target).or_else(|| with(&escaped(target)))
}

fn escaped(target: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(target.len() + 16);
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(
                    HEX.get(usize::from(digit)).copied().unwrap_or(b'0'),
                ));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
