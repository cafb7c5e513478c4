//! The admin listener: metrics, health, status and reload. Not for the public.

pub(super) mod connection;
mod front;
mod guard;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use self::token::ShownToAdmin;
use super::connections::ClientConnections;
use super::drain::Drain;
use super::metrics::EdgeMetrics;
use super::status::GatewayStatus;
use crate::pipeline::Pipeline;
use crate::pubsub::Hub;
use crate::snapshot::Published;

pub use self::front::AdminFront;

/// Longest body that is read to its end, in bytes, so that the connection can be reused.
const LONGEST_BODY: usize = 64 * 1024;

/// Time limit for a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// How long `POST /-/reload` waits for the outcome.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

/// The status page: a frame around `/status`.
const PAGE: &str = include_str!("admin/page/index.html");
const STYLE: &str = include_str!("admin/page/status.css");
const SCRIPT: &str = include_str!("admin/page/status.js");

/// Nothing external is loaded, and no other site may frame the page.
const POLICY: &str = "default-src 'self'; img-src data:; frame-ancestors 'none'";

/// Requests a reload; the result is sent back.
pub type ReloadRequest = oneshot::Sender<ReloadOutcome>;
/// Sends reload requests.
pub type ReloadHandle = mpsc::Sender<ReloadRequest>;

/// Result of a reload.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadOutcome {
    /// The active revision afterwards.
    pub revision: u64,
    /// Whether a new configuration is active.
    pub changed: bool,
    /// Paths of the settings that changed.
    pub settings: Vec<String>,
    /// Keys whose new value takes effect only after a restart.
    pub restart_required: Vec<&'static str>,
    /// Why the new configuration was rejected, if it was; the old one stays active.
    pub errors: Vec<String>,
}

/// Serves the admin port.
pub struct AdminApp {
    /// Whether clients are asked for a certificate, since the start.
    pub asks_for_certificate: bool,
    pub published: Arc<Published>,
    pub pipeline: Arc<Pipeline>,
    pub drain: Arc<Drain>,
    pub connections: Arc<ClientConnections>,
    pub pubsub: Arc<Hub>,
    pub registry: Registry,
    pub metrics: EdgeMetrics,
    pub status: Arc<GatewayStatus>,
    pub reload: ReloadHandle,
    pub started: Instant,
}

/// One answer of the admin port.
struct AdminResponse {
    status: u16,
    content_type: &'static str,
    body: Bytes,
}

#[async_trait]
impl HttpServerApp for AdminApp {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let read = timeout(connection::IDLE, session.read_request()).await;
        if !matches!(read, Ok(Ok(true))) {
            return None;
        }
        let _serving = connection::begin_request().ok()?;
        session.set_keepalive((!*shutdown.borrow()).then_some(connection::IDLE.as_secs()));
        // Otherwise a pipelined request would be dropped.
        session.set_pipelining_enabled(true);
        let page = match take_body(&mut session).await.ok()? {
            AdminBody::Taken => self.answer(&session).await,
            AdminBody::TooLarge => {
                // The rest of the body is where the next request would be.
                session.set_keepalive(None);
                AdminResponse::text(413, "this request takes no body\n")
            }
            AdminBody::TooSlow => {
                session.set_keepalive(None);
                AdminResponse::text(408, "the request body did not arrive in time\n")
            }
        };
        let written = timeout(connection::WRITE_LIMIT, write(&mut session, page)).await;
        written.ok()?.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

impl AdminApp {
    async fn answer(&self, session: &ServerSession) -> AdminResponse {
        let head = session.req_header();
        let snapshot = self.published.load();
        let shown = ShownToAdmin {
            path: head.uri.path(),
            headers: &head.headers,
            certificate: shows_certificate(session),
        };
        let settings = &snapshot.config.admin;
        if !token::admits(settings, self.asks_for_certificate, &shown) {
            return AdminResponse::text(401, token::wanted(settings, self.asks_for_certificate));
        }
        if !head.method.is_safe()
            && let Err(foreign) = guard::look_at(head, &snapshot.config.admin.hosts)
        {
            return AdminResponse::text(403, &format!("{foreign}\n"));
        }
        self.page(&head.method, head.uri.path()).await
    }

    async fn page(&self, method: &Method, path: &str) -> AdminResponse {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/metrics") => self.metrics_page(),
            // Liveness: the process answers. An upstream that is down is no reason to restart.
            (&Method::GET | &Method::HEAD, "/health") => AdminResponse::text(200, "ok\n"),
            (&Method::GET | &Method::HEAD, "/ready") => self.ready(),
            (&Method::GET | &Method::HEAD, "/status") => self.status(),
            (&Method::GET | &Method::HEAD, "/") => AdminResponse::asset("text/html", PAGE),
            (&Method::GET | &Method::HEAD, "/status.css") => {
                AdminResponse::asset("text/css", STYLE)
            }
            (&Method::GET | &Method::HEAD, "/status.js") => {
                AdminResponse::asset("text/javascript", SCRIPT)
            }
            (&Method::POST, "/-/reload") => self.reload().await,
            (_, "/-/reload") => AdminResponse::text(405, "POST is required\n"),
            _ => AdminResponse::text(
                404,
                "try /, /status, /metrics, /health, /ready or POST /-/reload\n",
            ),
        }
    }

    fn metrics_page(&self) -> AdminResponse {
        self.metrics.set_in_flight(self.drain.in_flight());
        self.connections.tell_metrics();
        self.pipeline.tell_metrics();
        // Trades may stop arriving while nobody asks for quotes.
        self.pipeline.hears_trades(&self.published.load());
        match TextEncoder::new().encode_to_string(&self.registry.gather()) {
            Ok(body) => AdminResponse {
                status: 200,
                content_type: "text/plain; version=0.0.4",
                body: body.into(),
            },
            Err(error) => {
                AdminResponse::text(500, &format!("metrics cannot be encoded: {error}\n"))
            }
        }
    }

    fn ready(&self) -> AdminResponse {
        if self.drain.is_leaving() {
            AdminResponse::text(503, "shutting down\n")
        } else if self.published.load().pool.can_serve() {
            AdminResponse::text(200, "ready\n")
        } else {
            AdminResponse::text(503, "no upstream available for ordinary calls\n")
        }
    }

    fn status(&self) -> AdminResponse {
        let snapshot = self.published.load();
        let pool = snapshot.pool.status();
        let status = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "revision": snapshot.revision,
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": !self.drain.is_leaving() && snapshot.pool.can_serve(),
            "shutting_down": self.drain.is_leaving(),
            "in_flight": self.drain.in_flight(),
            "connections": self.connections.status(&snapshot.config.limits),
            "admission": self.pipeline.admission_status(&snapshot),
            "websocket": self.pubsub.status(),
            "genesis": pool.genesis,
            "tip": pool.tip,
            "upstreams": pool.upstreams,
            "config": &**self.status.config.load(),
            "certificates": &**self.status.certificates.load(),
            "classes": self.pipeline.metrics.classes(),
            "cache": snapshot.cache.enabled().then(|| self.pipeline.cache.memory.status()),
            "shared_cache": self.pipeline.cache.status(),
            "jupiter": {
                "upstreams": snapshot.jupiter.status(),
                "kept_quotes": self.pipeline.cache.quotes.len(),
                "trades_heard": self.pipeline.hears_trades(&snapshot),
            },
        });
        AdminResponse::json(200, &status)
    }

    async fn reload(&self) -> AdminResponse {
        let (reply, outcome) = oneshot::channel();
        if self.reload.try_send(reply).is_err() {
            return AdminResponse::text(503, "another reload is in progress\n");
        }
        match timeout(RELOAD_LIMIT, outcome).await {
            Ok(Ok(outcome)) => {
                let status = if outcome.errors.is_empty() { 200 } else { 422 };
                AdminResponse::json(status, &outcome)
            }
            Ok(Err(_)) | Err(_) => AdminResponse::text(504, "the reload did not finish in time\n"),
        }
    }
}

/// Whether the client of a session has shown a certificate; it was found valid then.
fn shows_certificate(session: &ServerSession) -> bool {
    let digest = session.digest();
    let tls = digest.and_then(|digest| digest.ssl_digest.as_ref());
    tls.is_some_and(|tls| !tls.cert_digest.is_empty())
}

impl AdminResponse {
    fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned().into(),
        }
    }

    fn asset(content_type: &'static str, text: &'static str) -> Self {
        Self {
            status: 200,
            content_type,
            body: Bytes::from_static(text.as_bytes()),
        }
    }

    fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(json) => Self {
                status,
                content_type: "application/json",
                body: (json + "\n").into(),
            },
            Err(error) => Self::text(500, &format!("status cannot be written: {error}\n")),
        }
    }
}

/// What happened to a request body. None is needed here.
enum AdminBody {
    Taken,
    TooLarge,
    TooSlow,
}

async fn take_body(session: &mut ServerSession) -> pingora::Result<AdminBody> {
    let announced = session
        .req_header()
        .headers
        .get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LONGEST_BODY) {
        return Ok(AdminBody::TooLarge);
    }
    if session
        .req_header()
        .headers
        .contains_key(http::header::EXPECT)
    {
        session.write_continue_response().await?;
    }
    let deadline = Instant::now() + BODY_LIMIT;
    let mut length = 0;
    loop {
        let Ok(piece) = timeout_at(deadline, session.read_request_body()).await else {
            return Ok(AdminBody::TooSlow);
        };
        let Some(piece) = piece? else {
            return Ok(AdminBody::Taken);
        };
        length += piece.len();
        if length > LONGEST_BODY {
            return Ok(AdminBody::TooLarge);
        }
    }
}

async fn write(session: &mut ServerSession, page: AdminResponse) -> pingora::Result<()> {
    let mut header = ResponseHeader::build(page.status, Some(6))?;
    header.insert_header("content-type", page.content_type)?;
    header.insert_header("content-security-policy", POLICY)?;
    header.insert_header("x-content-type-options", "nosniff")?;
    header.insert_header("cache-control", "no-store")?;
    if page.status == 401 {
        header.insert_header("www-authenticate", token::CHALLENGE)?;
    }
    if page.status == 405 {
        header.insert_header("allow", "POST")?;
    }
    header.set_content_length(page.body.len())?;
    session.write_response_header(Box::new(header)).await?;
    session.write_response_body(page.body, true).await
}
