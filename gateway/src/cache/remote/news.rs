//! What the log is told about the connections: each change once, however often it is tried.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::failure::Failure;
use super::origin::ConnectError;

/// Writes that fail again within this time never were fine.
const CALM: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct News {
    told: Mutex<Told>,
    /// Why writes fail, and when one did last.
    writes: Mutex<Option<(Failure, Instant)>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Connected,
    Failed(String),
}

impl News {
    pub(super) fn connected(&self) {
        if self.is_new(Told::Connected) {
            tracing::info!("connected to the shared cache");
        }
    }

    pub(super) fn failed(&self, error: &ConnectError) {
        if self.is_new(Told::Failed(error.to_string())) {
            tracing::warn!(%error, "no connection to the shared cache; going on without it");
        }
    }

    /// Some writes went out together; one of them failed, perhaps.
    pub(super) fn written(&self, failure: Option<Failure>, now: Instant) {
        let mut writes = self.writes.lock();
        match (failure, *writes) {
            (Some(failure), before) => {
                *writes = Some((failure, now));
                drop(writes);
                if before.is_none_or(|(known, _)| known != failure) {
                    tracing::warn!(
                        failure = failure.label(),
                        cure = cure(failure),
                        "answers cannot be written to the shared cache"
                    );
                }
            }
            (None, Some((_, at))) if now.saturating_duration_since(at) >= CALM => {
                *writes = None;
                drop(writes);
                tracing::info!("answers are written to the shared cache again");
            }
            (None, _) => {}
        }
    }

    /// Why there is no connection, or nothing can be written, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        if let Told::Failed(error) = &*self.told.lock() {
            return Some(error.clone());
        }
        let (failure, _) = (*self.writes.lock())?;
        let (label, cure) = (failure.label(), cure(failure));
        Some(format!("answers cannot be written ({label}): {cure}"))
    }

    fn is_new(&self, news: Told) -> bool {
        let mut told = self.told.lock();
        let new = *told != news;
        *told = news;
        new
    }
}

/// What probably helps.
const fn cure(failure: Failure) -> &'static str {
    match failure {
        Failure::Full => {
            "Redis has no memory left; raise maxmemory, or set maxmemory-policy to volatile-ttl"
        }
        Failure::Refused => "may this user run scripts, and is it the master?",
        _ => "is Redis overloaded, or the way to it?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn writes_that_fail_are_the_trouble_until_they_have_been_fine_for_a_while() {
        let news = News::default();
        let start = Instant::now();
        news.written(Some(Failure::Full), start);
        assert!(news.trouble().unwrap().contains("maxmemory"));
        news.written(None, start + Duration::from_secs(9));
        assert!(news.trouble().is_some());
        news.written(None, start + CALM);
        assert_eq!(news.trouble(), None);
    }

    #[test]
    fn only_changes_are_told() {
        let news = News::default();
        let failed = |text: &str| Told::Failed(text.to_owned());
        for (told, new) in [
            (Told::Connected, true),
            (Told::Connected, false),
            (failed("refused"), true),
            (failed("refused"), false),
            (failed("no answer in time"), true),
            (Told::Connected, true),
        ] {
            assert_eq!(news.is_new(told), new);
        }
        assert_eq!(news.trouble(), None);
        news.failed(&ConnectError::Timeout);
        assert_eq!(news.trouble().as_deref(), Some("no answer in time"));
    }
}
