//! The admin listener: metrics, health, status and reload. Not for the public.

pub(super) mod connection;
mod exchange;
mod front;
mod guard;
mod response;
mod token;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::response::AdminResponse;
use self::token::ShownToAdmin;
use super::connections::ClientConnections;
use super::drain::Drain;
use super::metrics::EdgeMetrics;
use super::status::GatewayStatus;
use crate::pipeline::Pipeline;
use crate::pubsub::Hub;
use crate::snapshot::Published;

pub use self::front::AdminFront;

/// How long `POST /-/reload` waits for the outcome.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

/// The status page: a frame around `/status`.
const PAGE: &str = include_str!("admin/page/index.html");
const STYLE: &str = include_str!("admin/page/status.css");
const SCRIPT: &str = include_str!("admin/page/status.js");

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

impl AdminApp {
    /// The answer to a request.
    async fn answer(&self, method: &Method, shown: &ShownToAdmin<'_>) -> AdminResponse {
        let snapshot = self.published.load();
        let settings = &snapshot.config.admin;
        if !token::admits(settings, self.asks_for_certificate, shown) {
            return AdminResponse::text(401, token::wanted(settings, self.asks_for_certificate));
        }
        if !method.is_safe()
            && let Err(foreign) = guard::look_at(shown.headers, &settings.hosts)
        {
            return AdminResponse::text(403, &format!("{foreign}\n"));
        }
        self.page(method, shown.path).await
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
            Ok(body) => AdminResponse::of("text/plain; version=0.0.4", body),
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
