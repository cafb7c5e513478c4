//! Background work beside the stream: the operator port, retention, indexes.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Duration, interval, sleep};

use crate::app::clock::now;
use crate::app::console::say;
use crate::app::http::{HttpState, router};
use crate::app::metrics::Metrics;
use crate::app::supervisor::Supervisor;
use crate::config::Config;
use crate::record::UnixMillis;
use crate::sink::database::Database;

/// Between two runs of retention.
const FORGET: Duration = Duration::from_mins(10);

/// Before incomplete indexes are tried again.
const INDEX: Duration = Duration::from_mins(1);

/// The operator port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub(super) struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Starts retention and the completion of indexes.
pub(super) fn start(
    config: &Config,
    database: &Database,
    metrics: &Metrics,
    supervisor: &Supervisor,
) {
    let retention = config.database.retention;
    if !retention.is_zero() {
        let forget = forget(database.clone(), retention, metrics.clone());
        drop(supervisor.forever("retention", forget));
    }
    drop(supervisor.forever("indexes", index(database.clone())));
}

/// Opens the operator port, if one is configured.
pub(super) async fn listen(
    config: &Config,
    state: HttpState,
    supervisor: &Supervisor,
) -> Result<(), ListenError> {
    let Some(address) = config.http.listen else {
        return Ok(());
    };
    let failed = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    say(&json!({ "event": "listening", "http": local }).to_string());
    drop(supervisor.forever("http", async move {
        if let Err(error) = axum::serve(listener, router(state)).await {
            tracing::error!(%error, "the operator port failed");
        }
    }));
    Ok(())
}

/// Completes the indexes of a database created by an earlier version.
async fn index(database: Database) {
    loop {
        match database.complete_indexes().await {
            Ok(Some(count)) => {
                if count > 0 {
                    tracing::info!(count, "indexes completed");
                }
                break;
            }
            // Another process is doing it.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot complete indexes; retrying"),
        }
        sleep(INDEX).await;
    }
    std::future::pending::<()>().await;
}

/// Removes old rows periodically.
async fn forget(database: Database, retention: Duration, metrics: Metrics) {
    let age = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let mut times = interval(FORGET);
    loop {
        times.tick().await;
        let before = UnixMillis(now().0.saturating_sub(age));
        match database.forget(before).await {
            Ok(0) => {}
            Ok(count) => {
                metrics.forgotten.inc_by(count);
                tracing::info!(count, "old rows removed");
            }
            Err(error) => tracing::warn!(%error, "cannot remove old rows; retrying later"),
        }
    }
}
