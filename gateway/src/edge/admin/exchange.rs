//! Requests to the admin port, one after another on their connection. They are read as strictly as
//! those of clients, by the same reader.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use super::AdminApp;
use super::response::AdminResponse;
use super::token::ShownToAdmin;
use crate::config::Limits;
use crate::context::Protocol;
use crate::edge::access::{self, AccessEntry};
use crate::edge::connections::TrackedConnection;
use crate::edge::fields::RequestFields;
use crate::edge::head;
use crate::edge::http1::connection::Http1Connection;
use crate::edge::http1::request::ParsedRequest;
use crate::edge::http1::wire::{DirectWrite, WriteMode};
use crate::edge::http1::{ConnectionEnd, Http1};
use crate::edge::request_end::ConnectionCut;
use crate::edge::request_head::RequestHead;
use crate::edge::response_writer::BodyPieces;
use crate::edge::session::{BodyFault, HttpSession as _};
use crate::edge::write_pace::WriteFault;
use crate::edge::{body, cors};
use crate::error::Rejection;
use crate::snapshot::Snapshot;

/// How long a client may be idle.
const IDLE: Duration = Duration::from_mins(1);

/// Longest body that is read to its end, in bytes, so that the connection can be reused. None is
/// needed here.
const LONGEST_BODY: usize = 64 * 1024;

/// Time limit for a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// How long a client may take to accept an answer.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// A connection to the admin port.
pub(super) struct AdminConnection<'a> {
    app: &'a AdminApp,
    http1: Http1Connection,
    tracked: &'a Arc<TrackedConnection>,
    /// A valid client certificate was shown.
    certificate: bool,
}

impl<'a> AdminConnection<'a> {
    pub(super) fn new(
        app: &'a AdminApp,
        stream: Stream,
        tracked: &'a Arc<TrackedConnection>,
    ) -> Self {
        let tls = stream.get_ssl_digest();
        Self {
            certificate: tls.is_some_and(|tls| !tls.cert_digest.is_empty()),
            http1: Http1Connection::new(stream),
            app,
            tracked,
        }
    }

    /// Serves requests until the connection ends.
    pub(super) async fn serve(mut self, shutdown: &ShutdownWatch) {
        loop {
            if self.http1.unread.is_empty() && !self.begins().await {
                return;
            }
            if self.exchange(shutdown).await.is_err() {
                return;
            }
        }
    }

    /// Waits for the first bytes of a request.
    async fn begins(&mut self) -> bool {
        matches!(timeout(IDLE, self.http1.read()).await, Ok(true))
    }

    /// Reads one request and answers it.
    async fn exchange(&mut self, shutdown: &ShutdownWatch) -> Result<(), ConnectionCut> {
        let app = self.app;
        let snapshot = app.published.load();
        let limits = limits(&snapshot);
        let read = self.http1.head(self.tracked, &limits).await?;
        let request = match read.and_then(ParsedRequest::read) {
            Ok(request) => request,
            Err(rejection) => {
                self.refuse(&snapshot, &limits, &rejection).await;
                return Err(ConnectionCut);
            }
        };
        let (connection, tracked) = (&mut self.http1, self.tracked);
        let mut session = Http1::new(connection, &request, (tracked, &limits));
        if *shutdown.borrow() {
            session.close();
        }
        let read = body::read(&mut session, &limits).await;
        // Until here it makes room for others.
        let _serving = tracked.serving().ok_or(ConnectionCut)?;
        let page = match read {
            Ok(_unneeded) => {
                let headers = headers(&request);
                let shown = ShownToAdmin {
                    path: &request.path,
                    headers: &headers,
                    certificate: self.certificate,
                };
                app.answer(&request.method, &shown).await
            }
            Err(BodyFault::Rejected(rejection)) => {
                session.close();
                count_and_log(app, &snapshot, tracked, &rejection);
                AdminResponse::refused(&rejection)
            }
            Err(BodyFault::Gone) => return Err(ConnectionCut),
        };
        let written = write(&mut session.direct(), page).await;
        match (written, session.ends()) {
            (Ok(()), ConnectionEnd::GoesOn) => Ok(()),
            (Ok(()), ConnectionEnd::Unread) => {
                self.http1.linger().await;
                Err(ConnectionCut)
            }
            _ => Err(ConnectionCut),
        }
    }

    /// Refuses what is no request.
    async fn refuse(&mut self, snapshot: &Snapshot, limits: &Limits, rejection: &Rejection) {
        count_and_log(self.app, snapshot, self.tracked, rejection);
        let Http1Connection { stream, buffer, .. } = &mut self.http1;
        let mut mode = WriteMode::for_request(false, true, false);
        let mut wire = DirectWrite::new(stream, buffer, &mut mode, self.tracked, limits);
        let written = write(&mut wire, AdminResponse::refused(rejection)).await;
        if written.is_ok() {
            self.http1.linger().await;
        }
    }
}

/// The limits of a request to this port.
fn limits(snapshot: &Snapshot) -> Limits {
    Limits {
        max_body: LONGEST_BODY,
        body_timeout: BODY_LIMIT,
        write_timeout: WRITE_LIMIT,
        ..snapshot.config.limits.clone()
    }
}

fn headers(request: &ParsedRequest) -> HeaderMap {
    let lines = request.lines().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, value);
    }
    headers
}

/// Counts a refusal, and logs it as those of clients are logged.
fn count_and_log(
    app: &AdminApp,
    snapshot: &Snapshot,
    tracked: &TrackedConnection,
    rejection: &Rejection,
) {
    tracing::debug!(%rejection, "invalid request to the admin port");
    app.metrics.refused(rejection.label());
    if snapshot.config.log.access {
        let fields = RequestFields::default();
        let context = head::context(&fields, tracked, Protocol::Http1, snapshot);
        let head = RequestHead::new(&fields, context);
        access::log(&AccessEntry::refused_by_admin(rejection, &head), Ok(0));
    }
}

/// Writes an answer, in a bounded time in all.
async fn write(wire: &mut DirectWrite<'_>, page: AdminResponse) -> Result<(), WriteFault> {
    let lines = |line: cors::HeaderLine<'_>| page.tell(line);
    let body = BodyPieces::from_iter([Bytes::clone(&page.body)]);
    let written = timeout(WRITE_LIMIT, wire.answer(page.status, lines, body)).await;
    written.unwrap_or(Err(WriteFault::Stalled))
}
