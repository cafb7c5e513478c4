//! Jupiter's part of the control port: looking at its servers and switching their faults.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Fault, Jupiter, Server};

/// What can be done here.
pub const USAGE: &str = "\
GET    /jupiters             state, faults, hits by path of each stand-in for Jupiter
POST   /jupiters/N/fault     adds a fault to stand-in N, for example
                             {\"kind\":\"stale\"}
                             {\"kind\":\"http-status\",\"status\":503,\"paths\":[\"/quote\"],\"times\":3}
DELETE /jupiters/N/fault     takes all its faults away
POST   /jupiters/reset-counts   starts counting from zero
";

/// The paths of the Jupiter servers.
pub fn router(jupiter: Arc<Jupiter>) -> Router {
    Router::new()
        .route("/jupiters", get(all))
        .route("/jupiters/{index}", get(one))
        .route("/jupiters/{index}/fault", post(afflict).delete(heal))
        .route("/jupiters/reset-counts", post(reset))
        .with_state(jupiter)
}

async fn all(State(jupiter): State<Arc<Jupiter>>) -> Json<Value> {
    let reports: Vec<_> = jupiter.servers().iter().map(|one| one.report()).collect();
    Json(json!(reports))
}

async fn one(State(jupiter): State<Arc<Jupiter>>, Path(index): Path<usize>) -> Response {
    match jupiter.servers().get(index) {
        Some(server) => Json(server.report()).into_response(),
        None => nobody(index),
    }
}

async fn afflict(
    State(jupiter): State<Arc<Jupiter>>,
    Path(index): Path<usize>,
    body: String,
) -> Response {
    let Some(server) = jupiter.servers().get(index) else {
        return nobody(index);
    };
    match serde_json::from_str::<Value>(&body) {
        // `up` undoes `down`; it is a word of this port only.
        Ok(json) if json.get("kind") == Some(&json!("up")) => healed(server),
        Ok(json) => match serde_json::from_value::<Fault>(json) {
            Ok(fault) => {
                server.fault(fault).await;
                Json(server.report()).into_response()
            }
            Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn heal(State(jupiter): State<Arc<Jupiter>>, Path(index): Path<usize>) -> Response {
    match jupiter.servers().get(index) {
        Some(server) => healed(server),
        None => nobody(index),
    }
}

async fn reset(State(jupiter): State<Arc<Jupiter>>) -> Response {
    for server in jupiter.servers() {
        server.reset_counts();
    }
    all(State(jupiter)).await.into_response()
}

fn healed(server: &Arc<Server>) -> Response {
    match server.heal() {
        Ok(()) => Json(server.report()).into_response(),
        Err(error) => refuse(StatusCode::CONFLICT, &error.to_string()),
    }
}

fn nobody(index: usize) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("no Jupiter {index}"))
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}
