//! Pingora's own reader of requests, as a second opinion.

use std::io::Cursor;
use std::sync::LazyLock;

use pingora_core::protocols::http::ServerSession;
use tokio::runtime::{Builder, Runtime};

use crate::edge::Seen;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
});

/// Reads one request with its body off a connection that ends with these bytes.
pub fn read(bytes: &[u8]) -> Option<Seen> {
    RUNTIME.block_on(session(bytes.to_vec()))
}

async fn session(bytes: Vec<u8>) -> Option<Seen> {
    let mut session = ServerSession::new_http1(Box::new(Cursor::new(bytes)));
    session.set_pipelining_enabled(true);
    session.read_request().await.ok().filter(|read| *read)?;
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        body.extend_from_slice(&piece);
    }
    let head = session.req_header();
    let uri = &head.uri;
    let (method, target) = (
        head.method.to_string(),
        uri.path_and_query()
            .map_or_else(|| uri.path().to_owned(), ToString::to_string),
    );
    // Else what is left is not given away.
    session.set_keepalive(Some(60));
    let (stream, read) = session.finish().await.ok()??.into_parts();
    let stream = stream.into_any().downcast::<Cursor<Vec<u8>>>().ok()?;
    let at = usize::try_from(stream.position()).ok()?;
    let mut rest = read.map(|read| read.to_vec()).unwrap_or_default();
    rest.extend_from_slice(stream.get_ref().get(at..)?);
    Some(Seen {
        method,
        target,
        body,
        rest,
    })
}
