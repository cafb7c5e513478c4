//! The port for operators: `/metrics`, `/health`, `/ready`. Not for the public.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TextEncoder};

use crate::app::health::Health;

/// What is state.
#[derive(Clone, Debug)]
pub(super) struct HttpState {
    pub(super) health: Health,
    pub(super) registry: Registry,
}

pub(super) fn router(state: HttpState) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "try /metrics, /health or /ready\n") })
        .with_state(state)
}

async fn metrics(State(state): State<HttpState>) -> Response {
    match TextEncoder::new().encode_to_string(&state.registry.gather()) {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response(),
        Err(error) => {
            let text = format!("metrics cannot be encoded: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// Liveness: the process answers. A failing sink is no reason to restart it.
async fn health(State(state): State<HttpState>) -> Response {
    let page = format!("{:#}\n", state.health.tell());
    ([(header::CONTENT_TYPE, "application/json")], page).into_response()
}

async fn ready(State(state): State<HttpState>) -> Response {
    match state.health.not_ready() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
