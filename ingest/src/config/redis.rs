//! The Redis that ingest fills for the gateway.

use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::url::StoreUrl;

/// Where prices, candles and recent trades are kept.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Redis {
    /// `redis://host:port/number`, or `rediss://` over TLS. A password in it must come from outside
    /// the file.
    pub url: StoreUrl,
    /// Password, if not in the URL. Only from outside the file.
    pub password: Option<Secret>,
    /// Time limit for opening a connection.
    pub connect: Duration,
    /// Time limit for a batch.
    pub timeout: Duration,
}

const SCHEMES: &[&str] = &["redis", "rediss"];

impl Redis {
    /// A server with every default.
    pub fn at(url: StoreUrl) -> Self {
        Self {
            url,
            password: None,
            connect: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        }
    }

    /// None when there is no such section.
    pub(super) fn read_from(section: &mut Section<'_>) -> Option<Self> {
        let wanted = section.has("redis");
        section.nested("redis", |section| {
            let seconds = Duration::from_millis(10)..=Duration::from_mins(1);
            let url = StoreUrl::read(section, "url", SCHEMES, None);
            if wanted && !section.has("url") {
                section.violation("url", "is missing");
            }
            let password = section.outside_secret("password");
            let second = Duration::from_secs(1);
            let connect = section.within("connect", second, seconds.clone());
            let timeout = section.within("timeout", second, seconds);
            Some(Self {
                url: url?,
                password,
                connect,
                timeout,
            })
        })
    }
}
