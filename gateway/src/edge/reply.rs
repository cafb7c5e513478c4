//! Answers as they are written: gzip, and a body that is whole or streamed with back-pressure. A
//! [`ResponseWriter`] brings the bytes to the client.

use bytes::Bytes;

use super::compress::{Gzip, gzip};
use super::reply_head::{Preflight, ReplyHead};
use super::request_head::RequestHead;
use super::response_writer::{BodyPieces, ResponseWriter, Sent};
use super::write_pace::WriteFault;
use crate::config::Config;
use crate::dispatch::AttemptRecord;
use crate::error::{Rejection, TEXT};
use crate::jsonrpc::Id;
use crate::limit::Remaining;
use crate::pipeline::{ApiContent, ApiResponse, Response, ResponseBody, ResponseStream};

/// Ends every answer of a node.
const NEWLINE: &[u8] = b"\n";

/// Writes the answer to a call.
pub(super) async fn write(
    wire: &mut impl ResponseWriter,
    response: Response,
    head: &RequestHead,
    config: &Config,
) -> Result<Sent, WriteFault> {
    let Response {
        status,
        content_type,
        body,
        retry_after,
        provenance,
        admitted,
        remaining,
        summary,
    } = response;
    let remaining = admitted
        .as_ref()
        .and_then(|admitted| admitted.remaining)
        .or(remaining);
    let compression = &config.compression;
    let level = (head.accepts_gzip && compression.enabled).then_some(compression.level);
    let mut lines = ReplyHead {
        upstream: summary
            .attempt_summary
            .upstream
            .as_ref()
            .map(|upstream| upstream.id()),
        cache: summary.cache,
        retry_after,
        remaining,
        provenance,
        ..ReplyHead::new(status, content_type, head)
    };
    let mut pieces = BodyPieces::new();
    match body {
        ResponseBody::Empty => {}
        ResponseBody::Verbatim(body) => pieces.push(body),
        ResponseBody::Whole(body) => {
            pieces.push(body);
            add_newline(&mut pieces);
        }
        ResponseBody::Shared(shared) => {
            pieces.extend(*shared);
            add_newline(&mut pieces);
        }
        ResponseBody::Stream { length, stream } => {
            let least = u64::try_from(compression.min_bytes).unwrap_or(u64::MAX);
            let level = level.filter(|_| length.is_none_or(|length| length >= least));
            lines.gzip = level.is_some();
            wire.begin(&lines).await?;
            return streamed(wire, stream, level).await;
        }
    }
    let sent = pieces.iter().map(Bytes::len).sum();
    if let Some(level) = level.filter(|_| sent >= compression.min_bytes) {
        lines.gzip = true;
        pieces = BodyPieces::from_iter([gzip(&pieces.concat(), level)]);
    }
    wire.whole(&lines, pieces).await?;
    Ok(sent)
}

/// Writes an answer of Jupiter's API, unchanged.
pub(super) async fn write_api(
    wire: &mut impl ResponseWriter,
    (response, remaining): (ApiResponse, Option<Remaining>),
    head: &RequestHead,
    config: &Config,
) -> Result<Sent, WriteFault> {
    let compression = &config.compression;
    let level = (head.accepts_gzip && compression.enabled).then_some(compression.level);
    let mut fields = response.fields;
    if let Some(slots) = response.slots_behind {
        fields.push(("x-perijove-slots-behind", slots.to_string().into()));
    }
    fields.extend(response.notes);
    let mut lines = ReplyHead {
        upstream: response.upstream.as_deref(),
        cache: response.cache,
        others: &fields,
        remaining,
        // Among the others, if there is one.
        ..ReplyHead::new(response.status, "", head)
    };
    match response.content {
        ApiContent::Whole(body) => {
            let sent = body.len();
            let level = level.filter(|_| sent >= compression.min_bytes);
            lines.gzip = level.is_some();
            let body = level.map_or(body.clone(), |level| gzip(&body, level));
            let pieces = Some(body).filter(|body| !body.is_empty());
            wire.whole(&lines, BodyPieces::from_iter(pieces)).await?;
            Ok(sent)
        }
        ApiContent::Streaming { first, mut rest } => {
            let mut gzip = level.map(Gzip::new);
            lines.gzip = gzip.is_some();
            wire.begin(&lines).await?;
            if wire.is_bodyless() {
                // The rest of it is not even read.
                wire.end().await?;
                return Ok(0);
            }
            let mut sent = first.len();
            push(wire, first, gzip.as_mut()).await?;
            while let Some(next) = rest.next().await {
                let chunk = next.map_err(|fault| {
                    tracing::warn!(error = %fault, sent, "streamed response aborted");
                    WriteFault::Broken
                })?;
                sent += chunk.len();
                push(wire, chunk, gzip.as_mut()).await?;
            }
            rest.complete();
            if let Some(gzip) = gzip {
                push(wire, gzip.finish(), None).await?;
            }
            wire.end().await?;
            Ok(sent)
        }
    }
}

/// A refusal in the form of the API that was called.
pub(super) struct ApiRefusal<'r> {
    pub rejection: &'r Rejection,
    /// The upstreams that did not answer it.
    pub tried: &'r [AttemptRecord],
    body: Bytes,
    content_type: &'static str,
}

impl<'r> ApiRefusal<'r> {
    /// One that is not a JSON-RPC answer (or has no id to answer to).
    pub(super) fn rpc(rejection: &'r Rejection) -> Self {
        let (body, content_type) = rejection.body(&Id::null());
        Self {
            rejection,
            tried: &[],
            body,
            content_type,
        }
    }

    /// One for callers of Jupiter's API.
    pub(super) fn api(rejection: &'r Rejection, tried: &'r [AttemptRecord]) -> Self {
        let (body, content_type) = rejection.api_body();
        Self {
            rejection,
            tried,
            body,
            content_type,
        }
    }
}

/// Writes a refusal.
pub(super) async fn refuse(
    wire: &mut impl ResponseWriter,
    (refusal, remaining): (&ApiRefusal<'_>, Option<Remaining>),
    head: &RequestHead,
) -> Result<Sent, WriteFault> {
    let rejection = refusal.rejection;
    let allow = rejection.allow().map(|verbs| ("allow", Bytes::from(verbs)));
    let lines = ReplyHead {
        others: allow.as_slice(),
        retry_after: rejection.retry_after(),
        remaining,
        ..ReplyHead::new(rejection.status(), refusal.content_type, head)
    };
    let mut body = BodyPieces::from_iter([refusal.body.clone()]);
    // What an upstream has answered stays as it is.
    if rejection.page().is_none() {
        add_newline(&mut body);
    }
    let sent = body.iter().map(Bytes::len).sum();
    wire.whole(&lines, body).await?;
    Ok(sent)
}

/// Answers a CORS preflight.
pub(super) async fn preflight(
    wire: &mut impl ResponseWriter,
    head: &RequestHead,
    allowed: Preflight<'_>,
) -> Result<Sent, WriteFault> {
    let lines = ReplyHead {
        preflight: Some(allowed),
        ..ReplyHead::new(200, TEXT, head)
    };
    wire.whole(&lines, BodyPieces::new()).await?;
    Ok(0)
}

/// Answers `GET /health` with Agave's bare word: 200 whatever it says, and no newline.
pub(super) async fn health(
    wire: &mut impl ResponseWriter,
    word: &'static str,
    head: &RequestHead,
) -> Result<Sent, WriteFault> {
    let word = BodyPieces::from_iter([Bytes::from_static(word.as_bytes())]);
    wire.whole(&ReplyHead::new(200, TEXT, head), word).await?;
    Ok(0)
}

/// Every answer of a node ends with a newline.
fn add_newline(body: &mut BodyPieces) {
    if !body.last().is_some_and(|last| last.ends_with(NEWLINE)) {
        body.push(Bytes::from_static(NEWLINE));
    }
}

async fn streamed(
    wire: &mut impl ResponseWriter,
    mut stream: ResponseStream,
    gzip_level: Option<u32>,
) -> Result<Sent, WriteFault> {
    let mut gzip = gzip_level.map(Gzip::new);
    let mut sent = 0;
    while let Some(next) = stream.next().await {
        let chunk = next.map_err(|fault| {
            tracing::warn!(error = %fault, sent, "streamed response aborted");
            WriteFault::Broken
        })?;
        sent += chunk.len();
        push(wire, chunk, gzip.as_mut()).await?;
    }
    push(wire, Bytes::from_static(NEWLINE), gzip.as_mut()).await?;
    if let Some(gzip) = gzip {
        push(wire, gzip.finish(), None).await?;
    }
    wire.end().await?;
    Ok(sent + 1)
}

async fn push(
    wire: &mut impl ResponseWriter,
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
    wire.push(chunk).await
}
