//! Pingora's own reader of requests, as a second opinion.

use std::io::Cursor;
use std::sync::LazyLock;

use pingora_core::protocols::http::ServerSession;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
});

/// A request as Pingora reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body: Vec<u8>,
}

/// Reads one request with its body off a connection that ends with these bytes; `None` if it is
/// refused or not there as a whole.
pub fn read(bytes: &[u8]) -> Option<Read> {
    RUNTIME.block_on(session(bytes.to_vec()))
}

async fn session(bytes: Vec<u8>) -> Option<Read> {
    let mut session = ServerSession::new_http1(Box::new(Cursor::new(bytes)));
    session.read_request().await.ok().filter(|read| *read)?;
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        body.extend_from_slice(&piece);
    }
    let head = session.req_header();
    let target = match head.uri.query() {
        Some(query) => format!("{}?{query}", head.uri.path()),
        None => head.uri.path().to_owned(),
    };
    Some(Read {
        method: head.method.to_string(),
        target,
        body,
    })
}
