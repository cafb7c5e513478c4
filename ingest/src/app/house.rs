//! What is done beside the stream: the port for operators, old rows, indexes.

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Duration, interval, sleep};

use crate::app::http::{Told, router};
use crate::app::metrics::Metrics;
use crate::app::run::RunError;
use crate::app::tasks::Tasks;
use crate::app::{now, say};
use crate::config::Config;
use crate::record::UnixMillis;
use crate::sink::database::Database;

/// How often old rows are looked for.
const FORGET: Duration = Duration::from_mins(10);

/// When indexes that could not be completed are tried again.
const INDEX: Duration = Duration::from_mins(1);

/// Starts what is done beside the stream.
pub(super) fn keep(config: &Config, database: &Database, metrics: &Metrics, tasks: &Tasks) {
    let retention = config.database.retention;
    if !retention.is_zero() {
        let forget = forget(database.clone(), retention, metrics.clone());
        drop(tasks.forever("retention", forget));
    }
    drop(tasks.forever("indexes", index(database.clone())));
}

/// Opens the port for operators, if there is to be one.
pub(super) async fn listen(config: &Config, told: Told, tasks: &Tasks) -> Result<(), RunError> {
    let Some(address) = config.http.listen else {
        return Ok(());
    };
    let failed = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    say(&json!({ "event": "listening", "http": local }).to_string());
    drop(tasks.forever("http", async move {
        if let Err(error) = axum::serve(listener, router(told)).await {
            tracing::error!(%error, "the port for operators");
        }
    }));
    Ok(())
}

/// Completes the indexes of a database that an earlier version has made.
async fn index(database: Database) {
    loop {
        match database.complete_indexes().await {
            Ok(Some(count)) => {
                if count > 0 {
                    tracing::info!(count, "indexes are complete");
                }
                break;
            }
            // It may end in the midst of it.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "indexes are not complete; again soon"),
        }
        sleep(INDEX).await;
    }
    std::future::pending::<()>().await;
}

/// Removes old rows now and then.
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
            Err(error) => tracing::warn!(%error, "old rows could not be removed; later"),
        }
    }
}
