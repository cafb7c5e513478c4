//! Logs the connections to Redis: each change once, however often reconnecting is tried.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect::ConnectError;
use super::failure::RedisFailure;

/// Writes that fail again within this time are not logged as recovered.
const CALM: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct ConnectionLog {
    /// Host and port of each.
    servers: String,
    told: Mutex<LoggedState>,
    /// Why writes fail, and when one failed last.
    writes: Mutex<Option<(RedisFailure, Instant)>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum LoggedState {
    #[default]
    Nothing,
    Connected,
    Failed(String),
}

impl ConnectionLog {
    /// Of connections to these servers.
    pub(super) fn new(servers: String) -> Self {
        Self {
            servers,
            ..Self::default()
        }
    }

    pub(super) fn connected(&self) {
        if self.is_new(LoggedState::Connected) {
            tracing::info!(servers = self.servers.as_str(), "shared cache connected");
        }
    }

    pub(super) fn failed(&self, error: &ConnectError) {
        if self.is_new(LoggedState::Failed(error.to_string())) {
            tracing::warn!(%error, "shared cache connection failed; continuing without it");
        }
    }

    /// A batch of writes was sent; `failure` if one of them failed.
    pub(super) fn written(&self, failure: Option<RedisFailure>, now: Instant) {
        if matches!(failure, Some(RedisFailure::Down | RedisFailure::Io)) {
            // The connection is gone, and the attempts to connect again say why.
            return;
        }
        let mut writes = self.writes.lock();
        match (failure, *writes) {
            (Some(failure), before) => {
                *writes = Some((failure, now));
                drop(writes);
                if before.is_none_or(|(known, _)| known != failure) {
                    tracing::warn!(
                        servers = self.servers.as_str(),
                        failure = failure.label(),
                        cure = cure(failure),
                        "shared cache writes failing"
                    );
                }
            }
            (None, Some((_, at))) if now.saturating_duration_since(at) >= CALM => {
                *writes = None;
                drop(writes);
                tracing::info!("shared cache writes succeed again");
            }
            (None, _) => {}
        }
    }

    /// Why there is no connection or why nothing can be written, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        if let LoggedState::Failed(error) = &*self.told.lock() {
            return Some(error.clone());
        }
        let (failure, _) = (*self.writes.lock())?;
        let (label, cure) = (failure.label(), cure(failure));
        Some(format!("answers cannot be written ({label}): {cure}"))
    }

    fn is_new(&self, news: LoggedState) -> bool {
        let mut told = self.told.lock();
        let new = *told != news;
        *told = news;
        new
    }
}

/// What probably helps.
const fn cure(failure: RedisFailure) -> &'static str {
    match failure {
        RedisFailure::Full => {
            "Redis is out of memory; raise maxmemory, or set maxmemory-policy to volatile-ttl"
        }
        RedisFailure::Refused => "may this user run scripts, and is it the master?",
        _ => "is Redis, or the network to it, overloaded?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::remote::connect::connect_error::ConnectFault;

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_not_called_overload() {
        let news = ConnectionLog::new("cache:6379".to_owned());
        let now = Instant::now();
        for failure in [RedisFailure::Io, RedisFailure::Down] {
            news.written(Some(failure), now);
            assert_eq!(news.trouble(), None, "{failure:?}");
        }
        news.written(Some(RedisFailure::Timeout), now);
        assert!(news.trouble().unwrap().contains("overloaded"));
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_fail_are_the_trouble_until_they_have_been_fine_for_a_while() {
        let news = ConnectionLog::new("cache:6379".to_owned());
        let start = Instant::now();
        news.written(Some(RedisFailure::Full), start);
        assert!(news.trouble().unwrap().contains("maxmemory"));
        news.written(None, start + Duration::from_secs(9));
        assert!(news.trouble().is_some());
        news.written(None, start + CALM);
        assert_eq!(news.trouble(), None);
    }

    #[test]
    fn only_changes_are_told() {
        let news = ConnectionLog::new("cache:6379".to_owned());
        let failed = |text: &str| LoggedState::Failed(text.to_owned());
        for (told, new) in [
            (LoggedState::Connected, true),
            (LoggedState::Connected, false),
            (failed("refused"), true),
            (failed("refused"), false),
            (failed("no answer in time"), true),
            (LoggedState::Connected, true),
        ] {
            assert_eq!(news.is_new(told), new);
        }
        assert_eq!(news.trouble(), None);
        news.failed(&ConnectError::at(&"cache:6379", ConnectFault::Timeout));
        let trouble = news.trouble();
        assert_eq!(trouble.as_deref(), Some("cache:6379: no answer in time"));
    }
}
