//! What the log is told about the connections: each change once, however often it is tried.

use parking_lot::Mutex;

use super::origin::ConnectError;

#[derive(Debug, Default)]
pub(super) struct News {
    told: Mutex<Told>,
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

    /// Why there is no connection, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.told.lock() {
            Told::Failed(error) => Some(error.clone()),
            Told::Nothing | Told::Connected => None,
        }
    }

    fn is_new(&self, news: Told) -> bool {
        let mut told = self.told.lock();
        let new = *told != news;
        *told = news;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
