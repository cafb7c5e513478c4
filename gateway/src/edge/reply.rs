//! Writes a response: headers, gzip, and a body that is whole or streamed with back-pressure.

use bytes::{Bytes, BytesMut};
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::compress::{Gzip, gzip};
use super::cors;
use super::head::{Head, X_CACHE, X_REQUEST_ID};
use crate::config::Config;
use crate::error::{Rejection, TEXT};
use crate::pipeline::{Body, BodyStream, Response};

/// Who gave the answer.
static X_UPSTREAM: HeaderName = HeaderName::from_static("x-perijove-upstream");
/// Who knew, where no upstream was asked.
static X_SOURCE: HeaderName = HeaderName::from_static("x-perijove-source");

/// Room for the headers that most answers carry.
const USUAL_HEADERS: usize = 10;

/// Why an answer did not reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteFault {
    /// The client has gone.
    Gone,
    /// The answer broke off behind us; the connection has to be cut so that the client notices.
    Broken,
}

/// Sessions fail because their peer went away; a header that cannot be written ends the same way.
impl From<Box<pingora::Error>> for WriteFault {
    fn from(_client_gone: Box<pingora::Error>) -> Self {
        Self::Gone
    }
}

/// Body bytes sent, before compression.
pub(super) type Sent = usize;

/// Writes the answer to a call.
pub(super) async fn write(
    session: &mut ServerSession,
    response: Response,
    head: &Head,
    config: &Config,
) -> Result<Sent, WriteFault> {
    let compression = &config.compression;
    let gzip_level = (head.accepts_gzip && compression.enabled).then_some(compression.level);
    let mut header = answer_head(response.status, response.content_type, head)?;
    extras(&mut header, &response)?;
    match response.body {
        Body::Empty => whole(session, header, Bytes::new()).await,
        Body::Whole(body) => {
            let body = with_newline(body);
            let sent = body.len();
            match gzip_level.filter(|_| sent >= compression.min_bytes) {
                None => whole(session, header, body).await,
                Some(level) => {
                    encoded(&mut header)?;
                    whole(session, header, gzip(&body, level))
                        .await
                        .map(|_| sent)
                }
            }
        }
        Body::Stream { length, stream } => {
            // The upstream's connection is held as long as the client takes its answer.
            session.set_write_timeout(Some(config.limits.write_timeout));
            let least = u64::try_from(compression.min_bytes).unwrap_or(u64::MAX);
            let gzip_level = gzip_level.filter(|_| length.is_none_or(|length| length >= least));
            streamed(session, header, stream, gzip_level).await
        }
    }
}

/// A refusal in the words of the API that was called.
pub(super) struct Refusal<'r> {
    pub rejection: &'r Rejection,
    body: Bytes,
    content_type: &'static str,
}

impl<'r> Refusal<'r> {
    /// One that is no JSON-RPC answer (or one without an id to answer to).
    pub(super) fn rpc(rejection: &'r Rejection) -> Self {
        let (body, content_type) = rejection.body(&crate::jsonrpc::Id::null());
        Self {
            rejection,
            body,
            content_type,
        }
    }

    /// One for callers of Jupiter's API.
    pub(super) fn api(rejection: &'r Rejection) -> Self {
        let (body, content_type) = rejection.api_body();
        Self {
            rejection,
            body,
            content_type,
        }
    }
}

/// Writes a refusal.
pub(super) async fn refuse(
    session: &mut ServerSession,
    refusal: &Refusal<'_>,
    head: &Head,
) -> Result<Sent, WriteFault> {
    let rejection = refusal.rejection;
    let mut header = answer_head(rejection.status(), refusal.content_type, head)?;
    if let Some(seconds) = rejection.retry_after() {
        header.insert_header("retry-after", seconds.to_string())?;
    }
    whole(session, header, with_newline(refusal.body.clone())).await
}

/// Answers a CORS preflight.
pub(super) async fn preflight(
    session: &mut ServerSession,
    head: &Head,
) -> Result<Sent, WriteFault> {
    let requested = session
        .get_header("access-control-request-headers")
        .cloned();
    let mut header = ResponseHeader::build(200, Some(USUAL_HEADERS))?;
    cors::preflight(head.origin.as_ref(), requested.as_ref(), &mut header)?;
    whole(session, header, Bytes::new()).await
}

/// Answers `GET /health` with Agave's bare word: 200 whatever it says, and no newline.
pub(super) async fn health(
    session: &mut ServerSession,
    word: &'static str,
    head: &Head,
) -> Result<Sent, WriteFault> {
    let header = answer_head(200, TEXT, head)?;
    whole(session, header, Bytes::from_static(word.as_bytes())).await
}

fn answer_head(
    status: u16,
    content_type: &'static str,
    head: &Head,
) -> pingora::Result<ResponseHeader> {
    let mut header = ResponseHeader::build_no_case(status, Some(USUAL_HEADERS))?;
    header.insert_header(CONTENT_TYPE, HeaderValue::from_static(content_type))?;
    header.insert_header(X_REQUEST_ID.clone(), head.request_id.clone())?;
    if let Some(origin) = &head.origin {
        cors::allow(origin, &mut header)?;
    }
    Ok(header)
}

fn extras(header: &mut ResponseHeader, response: &Response) -> pingora::Result<()> {
    if let Some(upstream) = &response.summary.trace.upstream {
        header.insert_header(X_UPSTREAM.clone(), upstream.id())?;
    }
    if let Some(status) = response.summary.cache {
        header.insert_header(X_CACHE.clone(), HeaderValue::from_static(status.label()))?;
    }
    if let Some(seconds) = response.retry_after {
        header.insert_header("retry-after", seconds.to_string())?;
    }
    if let Some(provenance) = &response.provenance {
        let source = HeaderValue::from_static(provenance.source.label());
        header.insert_header(X_SOURCE.clone(), source)?;
        // What is true now is not for a cache on the way to keep.
        header.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
        if let Some(age) = provenance.age {
            header.insert_header(AGE, age.as_secs().to_string())?;
        }
    }
    Ok(())
}

fn encoded(header: &mut ResponseHeader) -> pingora::Result<()> {
    header.insert_header("content-encoding", "gzip")?;
    header
        .append_header("vary", "accept-encoding")
        .map(|_appended| ())
}

/// Every answer of a node ends with a newline. The buffer usually has room for it.
fn with_newline(body: Bytes) -> Bytes {
    if body.ends_with(b"\n") {
        return body;
    }
    let mut body = body.try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(shared.len() + 1);
        copy.extend_from_slice(&shared);
        copy
    });
    body.extend_from_slice(b"\n");
    body.freeze()
}

async fn whole(
    session: &mut ServerSession,
    mut header: ResponseHeader,
    body: Bytes,
) -> Result<Sent, WriteFault> {
    let sent = body.len();
    header.set_content_length(sent)?;
    session.write_response_header(Box::new(header)).await?;
    session.write_response_body(body, true).await?;
    Ok(sent)
}

async fn streamed(
    session: &mut ServerSession,
    mut header: ResponseHeader,
    mut stream: BodyStream,
    gzip_level: Option<u32>,
) -> Result<Sent, WriteFault> {
    let chunked = !session.is_http2() && session.req_header().version == Version::HTTP_11;
    if chunked {
        header.insert_header("transfer-encoding", "chunked")?;
    }
    let mut gzip = gzip_level.map(Gzip::new);
    if gzip.is_some() {
        encoded(&mut header)?;
    }
    session.write_response_header(Box::new(header)).await?;
    let mut sent = 0;
    while let Some(next) = stream.next().await {
        let chunk = next.map_err(|fault| {
            tracing::warn!(error = %fault, sent, "streamed answer cut");
            WriteFault::Broken
        })?;
        sent += chunk.len();
        push(session, chunk, gzip.as_mut()).await?;
    }
    push(session, Bytes::from_static(b"\n"), gzip.as_mut()).await?;
    let last = gzip.map_or_else(Bytes::new, Gzip::finish);
    session.write_response_body(last, true).await?;
    Ok(sent + 1)
}

async fn push(
    session: &mut ServerSession,
    chunk: Bytes,
    gzip: Option<&mut Gzip>,
) -> Result<(), WriteFault> {
    let chunk = match gzip {
        Some(gzip) => gzip.push(&chunk),
        None => chunk,
    };
    if chunk.is_empty() {
        return Ok(());
    }
    session.write_response_body(chunk, false).await?;
    Ok(())
}
