//! The database, which keeps the rows and how far each partition was read.

use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::url::StoreUrl;

/// Where rows are kept.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Database {
    /// `sqlite:FILE` (relative to this configuration), or `postgres://user@host/database`. A
    /// password in it must come from outside the file.
    pub url: StoreUrl,
    /// Password, if not in the URL. Only from outside the file.
    pub password: Option<Secret>,
    /// Maximum number of connections. SQLite has one writer, however many there are.
    pub connections: u32,
    /// Time limit for opening a connection.
    pub connect: Duration,
    /// Time limit for a batch.
    pub timeout: Duration,
    /// Older rows are removed; `0s` keeps them for ever.
    pub retention: Duration,
}

const SQLITE: &[&str] = &["sqlite"];
const POSTGRES: &[&str] = &["postgres", "postgresql"];

impl Default for Database {
    fn default() -> Self {
        Self {
            url: StoreUrl::sqlite(std::path::Path::new("perijove.db")),
            password: None,
            connections: 4,
            connect: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            retention: Duration::from_hours(7 * 24),
        }
    }
}

impl Database {
    /// Whether it is a file of this machine.
    pub fn is_sqlite(&self) -> bool {
        SQLITE.contains(&self.url.scheme())
    }

    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let seconds = |most: u64| Duration::from_millis(100)..=Duration::from_secs(most);
        let years = Duration::ZERO..=Duration::from_hours(24 * 3660);
        let schemes = [SQLITE, POSTGRES].concat();
        let url = StoreUrl::read(section, "url", &schemes, Some(&default.url));
        let url = url.unwrap_or_else(|| default.url.clone()).resolved(section);
        let password = section.outside_secret("password");
        if password.is_some() && SQLITE.contains(&url.scheme()) {
            section.violation("password", "has no effect for SQLite");
        }
        Self {
            url,
            password,
            connections: section.within("connections", default.connections, 1..=100),
            connect: section.within("connect", default.connect, seconds(60)),
            timeout: section.within("timeout", default.timeout, seconds(600)),
            retention: section.within("retention", default.retention, years),
        }
    }
}
