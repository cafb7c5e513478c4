//! The control port: HTTP and JSON to look at the validators and to switch their faults.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fault::{Fault, Kind};
use super::validator::Validator;
use super::{Sandbox, chain};
use crate::jupiter::{self, Jupiter};

/// Serves the control port until the task is cut.
pub async fn serve(listener: TcpListener, sandbox: Arc<Sandbox>) -> io::Result<()> {
    axum::serve(listener, router(sandbox)).await
}

/// The same with Jupiters beside the cluster.
pub async fn serve_both(
    listener: TcpListener,
    sandbox: Arc<Sandbox>,
    jupiter: Arc<Jupiter>,
) -> io::Result<()> {
    let router = router(sandbox).merge(jupiter::control::router(jupiter));
    axum::serve(listener, router).await
}

fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/", get(usage))
        .route("/cluster", get(cluster).post(steer))
        .route("/validators", get(validators))
        .route("/validators/{index}", get(validator))
        .route("/validators/{index}/fault", post(afflict).delete(heal))
        .route("/faults", axum::routing::delete(heal_all))
        .route("/reset-counts", post(reset_counts))
        .with_state(sandbox)
}

/// What can be done here.
pub const USAGE: &str = "\
GET    /cluster              slots, genesis hash, transactions accepted
POST   /cluster              steers its clock, with any of these:
                             {\"slot_time_ms\":100, \"stopped\":true, \"advance\":3, \"stall_finality\":true}
GET    /validators           state, faults, hits by method, connections of each
POST   /validators/N/fault   adds a fault to validator N, for example
                             {\"kind\":\"lag\",\"slots\":50}
                             {\"kind\":\"rpc-error\",\"code\":-32005,\"methods\":[\"getBalance\"],\"times\":3}
DELETE /validators/N/fault   takes all faults of validator N away
DELETE /faults               takes all faults of all validators away
POST   /reset-counts         starts counting from zero
";

async fn usage() -> String {
    format!("{USAGE}{}", jupiter::control::USAGE)
}

async fn cluster(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    let cluster = sandbox.cluster();
    Json(json!({
        "tip": cluster.clock.tip(),
        "slot_time_ms": u64::try_from(cluster.clock.slot_time().as_millis()).unwrap_or(u64::MAX),
        "genesis": chain::GENESIS,
        "transactions": cluster.ledger.len(),
        "validators": cluster.size,
    }))
}

/// A command to the clock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Steering {
    slot_time_ms: Option<u64>,
    stopped: Option<bool>,
    advance: Option<u64>,
    stall_finality: Option<bool>,
}

async fn steer(State(sandbox): State<Arc<Sandbox>>, body: String) -> Response {
    let steering: Steering = match serde_json::from_str(&body) {
        Ok(steering) => steering,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let clock = &sandbox.cluster().clock;
    if let Some(milliseconds) = steering.slot_time_ms {
        clock.set_slot_time(Duration::from_millis(milliseconds));
    }
    match steering.stopped {
        Some(true) => drop(clock.stop()),
        Some(false) => clock.resume(),
        None => {}
    }
    clock.advance(steering.advance.unwrap_or(0));
    match steering.stall_finality {
        Some(true) => drop(clock.stall_finality()),
        Some(false) => clock.resume_finality(),
        None => {}
    }
    cluster(State(sandbox)).await.into_response()
}

async fn validators(State(sandbox): State<Arc<Sandbox>>) -> Json<Value> {
    let reports: Vec<_> = sandbox
        .validators()
        .iter()
        .map(|one| one.report())
        .collect();
    Json(json!(reports))
}

async fn validator(State(sandbox): State<Arc<Sandbox>>, Path(index): Path<usize>) -> Response {
    match sandbox.validators().get(index) {
        Some(one) => Json(one.report()).into_response(),
        None => nobody(index),
    }
}

async fn afflict(
    State(sandbox): State<Arc<Sandbox>>,
    Path(index): Path<usize>,
    body: String,
) -> Response {
    let Some(one) = sandbox.validators().get(index) else {
        return nobody(index);
    };
    let parsed = serde_json::from_str::<Value>(&body);
    // `up` undoes `down`; it is a word of this port only.
    if let Ok(json) = &parsed
        && json.get("kind") == Some(&json!("up"))
    {
        return healed(one);
    }
    match parsed.and_then(Fault::from_json) {
        Ok(fault) if fault.kind == Kind::Down => one.down().await,
        Ok(fault) => one.fault(fault),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
    Json(one.report()).into_response()
}

async fn heal(State(sandbox): State<Arc<Sandbox>>, Path(index): Path<usize>) -> Response {
    match sandbox.validators().get(index) {
        Some(one) => healed(one),
        None => nobody(index),
    }
}

async fn heal_all(State(sandbox): State<Arc<Sandbox>>) -> Response {
    for one in sandbox.validators() {
        if let Err(error) = one.heal() {
            return refuse(StatusCode::CONFLICT, &error.to_string());
        }
    }
    validators(State(sandbox)).await.into_response()
}

async fn reset_counts(State(sandbox): State<Arc<Sandbox>>) -> Response {
    sandbox.reset_counts();
    validators(State(sandbox)).await.into_response()
}

fn healed(one: &Arc<Validator>) -> Response {
    match one.heal() {
        Ok(()) => Json(one.report()).into_response(),
        Err(error) => refuse(StatusCode::CONFLICT, &error.to_string()),
    }
}

fn nobody(index: usize) -> Response {
    refuse(StatusCode::NOT_FOUND, &format!("no validator {index}"))
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}
