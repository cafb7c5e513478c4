//! WebSocket handshakes: which requests may be upgraded, the answer, and the log line at the end.
//! The messages are handled by `pubsub`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::Method;
use pingora::protocols::Stream;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::access::{self, AccessEntry};
use super::connections::TrackedConnection;
use super::fields::says;
use super::head::{self, ShownCredentials};
use super::http1::request::ParsedRequest;
use super::request_head::RequestHead;
use super::rpc_app::RpcApp;
use super::write_pace::WriteFault;
use crate::context::{Protocol, RequestContext};
use crate::error::Rejection;
use crate::framing::Framing;
use crate::pipeline::RequestSummary;
use crate::pubsub::{
    DeflateAgreement, SocketClient, SocketEnd, SocketObserver, SocketPermit, SubscriberSession,
};
use crate::snapshot::{Published, Snapshot};
use crate::trace::{Sampling, TraceContext};

/// Time limit for writing the answer to a handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request to be upgraded.
pub(super) struct UpgradeRequest {
    head: RequestHead,
    /// As the client said it.
    trace: Option<Box<TraceContext>>,
    shown: ShownCredentials,
    accept: String,
    compression: Option<DeflateAgreement>,
    place: SocketPermit,
}

/// A connection that asks to become a WebSocket.
pub(super) struct UpgradedConnection {
    pub(super) stream: Stream,
    /// Bytes that followed the request.
    pub(super) unread: BytesMut,
    pub(super) opening: Box<UpgradeRequest>,
}

/// A request to be upgraded that is refused.
pub(super) struct RefusedUpgrade {
    pub(super) rejection: Rejection,
    pub(super) context: RequestContext,
}

/// `None` if the request asks for no WebSocket that could be served.
pub(super) fn look_at(
    app: &RpcApp,
    snapshot: &Snapshot,
    request: &ParsedRequest,
    tracked: &TrackedConnection,
) -> Option<Result<Box<UpgradeRequest>, Box<RefusedUpgrade>>> {
    let settings = &snapshot.config.websocket;
    if !request.asks_for_websocket || request.method != Method::GET || !settings.enabled {
        return None;
    }
    Some(open(app, snapshot, request, tracked))
}

/// The refusal of another request, where only WebSocket is served.
pub(super) fn wanted(
    app: &RpcApp,
    snapshot: &Snapshot,
    request: &ParsedRequest,
    tracked: &TrackedConnection,
) -> Box<RefusedUpgrade> {
    let fields = request.fields();
    let (path, query) = (request.path.as_str(), request.query.as_deref());
    let mut context = head::context(&fields, tracked, Protocol::Http1, snapshot);
    // Whoever it is gets the same refusal.
    drop(app.identify(&fields, path, query, &mut context, snapshot));
    Box::new(RefusedUpgrade {
        rejection: Rejection::OnlyWebSocket,
        context,
    })
}

fn open(
    app: &RpcApp,
    snapshot: &Snapshot,
    request: &ParsedRequest,
    tracked: &TrackedConnection,
) -> Result<Box<UpgradeRequest>, Box<RefusedUpgrade>> {
    let fields = request.fields();
    let (path, query) = (request.path.as_str(), request.query.as_deref());
    let mut context = head::context(&fields, tracked, Protocol::WebSocket, snapshot);
    let who = app.identify(&fields, path, query, &mut context, snapshot);
    let accept = match who.and_then(|()| accept(request)) {
        Ok(accept) => accept,
        Err(rejection) => return Err(Box::new(RefusedUpgrade { rejection, context })),
    };
    // A socket lasts for long: it belongs to a trace, and is no span. Its messages are.
    let trace = context.trace.clone();
    let sampling = Sampling {
        exports: false,
        ..snapshot.sampling
    };
    context.begin("GET", sampling);
    let admitted = app
        .pubsub
        .admit(snapshot, context.consumer.as_ref(), context.client);
    let place = match admitted {
        Ok(place) => place,
        Err(rejection) => return Err(Box::new(RefusedUpgrade { rejection, context })),
    };
    let compression = &snapshot.config.websocket.compression;
    let compression = compression
        .enabled
        .then(|| DeflateAgreement::of_offers(request.values("sec-websocket-extensions")))
        .flatten();
    Ok(Box::new(UpgradeRequest {
        shown: ShownCredentials::new(&fields, path, query, &context),
        head: RequestHead::new(&fields, context),
        trace,
        accept,
        compression,
        place,
    }))
}

/// The answer to the client's key (RFC 6455 §4.2).
fn accept(request: &ParsedRequest) -> Result<String, Rejection> {
    let bad = |reason| Err(Rejection::Handshake { reason });
    let one = |name: &'static str| {
        let mut values = request.values(name);
        values.next().filter(|_| values.next().is_none())
    };
    if !request
        .values("connection")
        .any(|value| says(value, b"upgrade"))
    {
        return bad("a WebSocket needs `Connection: Upgrade`");
    }
    if request.framing != Framing::Length(0) {
        return bad("a WebSocket request must not have a body");
    }
    match one("sec-websocket-version") {
        Some(b"13") => {}
        Some(_) => return Err(Rejection::HandshakeVersion),
        None => return bad("sec-websocket-version is missing or occurs twice"),
    }
    match one("sec-websocket-key") {
        Some(key) if STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16) => {
            Ok(derive_accept_key(key))
        }
        _ => bad("sec-websocket-key must be 16 bytes in base64"),
    }
}

/// Answers the handshake and serves the socket until its end.
pub(super) async fn serve(
    app: &Arc<RpcApp>,
    connection: UpgradedConnection,
    tracked: &Arc<TrackedConnection>,
) {
    let UpgradedConnection {
        mut stream,
        unread,
        opening,
    } = connection;
    let UpgradeRequest {
        head,
        trace,
        shown,
        accept,
        compression,
        place,
    } = *opening;
    let _counted = app.drain.socket();
    let Some(_serving) = tracked.serving() else {
        return;
    };
    let answer = async {
        let answer = switching(&head, &accept, compression);
        stream.write_all(&answer).await?;
        stream.flush().await
    };
    if !matches!(timeout(PATIENCE, answer).await, Ok(Ok(()))) {
        app.metrics.client_gone();
        return;
    }
    app.metrics.replied(101);
    tracked.is_used(false);
    let journal = Arc::new(SocketLog {
        app: Arc::clone(app),
        tracked: Arc::clone(tracked),
        head,
        shown,
    });
    let client = SocketClient {
        context: Arc::clone(&journal.head.context),
        trace,
        cache_use: journal.head.cache_use,
        ledger_only: journal.head.ledger_only,
        share: place.share(),
        account: Arc::<SocketLog>::clone(&journal),
        compression,
    };
    let hub = Arc::clone(&app.pubsub);
    let session = SubscriberSession::new(hub, stream, unread.to_vec(), client).await;
    drop(unread);
    let ended = Box::pin(session.serve()).await;
    drop(place);
    if app.published.load().config.log.access {
        access::log_socket(&journal.head.context, &ended);
    }
}

fn switching(head: &RequestHead, accept: &str, compression: Option<DeflateAgreement>) -> Vec<u8> {
    let extensions = compression.map_or_else(String::new, |agreement| {
        format!("\r\nsec-websocket-extensions: {}", agreement.answer())
    });
    [
        &b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
           sec-websocket-accept: "[..],
        accept.as_bytes(),
        extensions.as_bytes(),
        b"\r\nx-request-id: ",
        head.context.id.as_bytes(),
        b"\r\n\r\n",
    ]
    .concat()
}

/// Reports the calls of one socket to log and metrics.
struct SocketLog {
    app: Arc<RpcApp>,
    tracked: Arc<TrackedConnection>,
    head: RequestHead,
    shown: ShownCredentials,
}

impl SocketLog {
    fn published(&self) -> &Published {
        &self.app.published
    }
}

impl SocketObserver for SocketLog {
    fn answered(
        &self,
        summary: RequestSummary,
        status: u16,
        message: &RequestContext,
        bytes: usize,
    ) {
        let snapshot = self.published().load();
        let metrics = &self.app.metrics;
        metrics.called_by(message.consumer.as_ref(), &snapshot.config);
        metrics.answered_call(message, status, &snapshot, message.started);
        if snapshot.config.log.access {
            let entry = AccessEntry::of(&summary, status, message, message.started);
            access::log(&entry, Ok(bytes));
        }
    }

    fn left(&self, text: &Bytes, message: &RequestContext) {
        let snapshot = self.published().load();
        let metrics = &self.app.metrics;
        metrics.called_by(message.consumer.as_ref(), &snapshot.config);
        metrics.left(message, &snapshot);
        if snapshot.config.log.access {
            let entry = AccessEntry::gone(text, message, message.started);
            access::log(&entry, Err(WriteFault::Gone));
        }
    }

    fn is_used(&self, used: bool) {
        self.tracked.is_used(used);
    }

    fn may_stay(&self) -> Result<(), SocketEnd> {
        let snapshot = self.published().load();
        let checked = self.shown.check(&self.head.context, &snapshot);
        checked.map_err(|rejection| match rejection {
            Rejection::NotFromHere { .. } => SocketEnd::NotFromHere,
            _ => SocketEnd::Unauthorised,
        })
    }
}
