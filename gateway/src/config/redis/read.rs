//! Reads the section from the file, and checks it for contradictions.

use std::path::PathBuf;
use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::{Section, Size, pem_file};
use schemars::Schema;
use serde_json::{Value, json};

use super::{Redis, RedisBreakerSettings, RedisMode, RedisUrl};
use crate::config::limits::size;

impl Redis {
    /// `None` without the section, or if it has no usable URL, which has been reported.
    pub(in crate::config) fn read_from(section: &mut Section<'_>) -> Option<Self> {
        let there = section.has("redis");
        section.nested("redis", |section| Self::read(section, there))
    }

    /// Reads every key even if some are invalid, so that all errors are reported.
    fn read(section: &mut Section<'_>, there: bool) -> Option<Self> {
        let urls = read_urls(section, there);
        let mode = section.or("mode", RedisMode::Single);
        let master: Option<String> = section.optional("master");
        refuse_contradictions(section, &urls, mode, master.as_deref());
        let (username, password) = read_credentials(section, &urls, mode);
        let ca = read_ca(section, &urls);
        let redis = Self {
            mode,
            master,
            username,
            password,
            ca,
            ..Self::among(urls)
        };
        let redis = redis.read_bounds(section);
        (!redis.urls.is_empty()).then_some(redis)
    }

    /// Limits on time and memory.
    fn read_bounds(self, section: &mut Section<'_>) -> Self {
        let minute = Duration::from_mins(1);
        Self {
            deadline: section.within(
                "deadline",
                self.deadline,
                Duration::from_millis(1)..=Duration::from_secs(10),
            ),
            connect: section.within("connect", self.connect, Duration::from_millis(10)..=minute),
            connections: section.within("connections", self.connections, 1..=64),
            concurrency: section.within("concurrency", self.concurrency, 1..=100_000),
            queue: section.within("queue", self.queue, 1..=1_000_000),
            queue_bytes: size(
                section,
                "queue_bytes",
                self.queue_bytes,
                Size::mib(1)..=Size::mib(64 * 1024),
            ),
            compress_from: size(
                section,
                "compress_from",
                self.compress_from,
                Size(0)..=Size::mib(64),
            ),
            settled_ttl: section.within(
                "settled_ttl",
                self.settled_ttl,
                Duration::from_secs(1)..=Duration::from_hours(24 * 365),
            ),
            wait_for_others: section.within(
                "wait_for_others",
                self.wait_for_others,
                Duration::ZERO..=Duration::from_secs(5),
            ),
            breaker: section.nested("breaker", RedisBreakerSettings::read),
            ..self
        }
    }
}

impl RedisBreakerSettings {
    fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            failures: section.within("failures", default.failures, 1..=10_000),
            open: section.within(
                "open",
                default.open,
                Duration::from_millis(10)..=Duration::from_hours(1),
            ),
        }
    }
}

/// From `url` or `urls`; not both.
fn read_urls(section: &mut Section<'_>, there: bool) -> Vec<RedisUrl> {
    let single = section.secret("url");
    let several = section.secrets("urls");
    match (section.has("url"), section.has("urls")) {
        (true, true) => {
            section.violation("urls", "cannot be combined with url; remove one of the two");
        }
        (false, true) if section.is_empty_list("urls") => {
            section.violation("urls", "needs at least one URL");
        }
        (false, false) if there => section.violation("url", "is missing"),
        _ => {}
    }
    let single = single.map(|url| (section.at("url"), url));
    let mut urls = Vec::new();
    for (path, text) in single.into_iter().chain(several) {
        match RedisUrl::parse(text.expose()) {
            Ok(url) => urls.push(url),
            Err(fault) => section.violation_at(&path, fault),
        }
    }
    urls
}

fn refuse_contradictions(
    section: &Section<'_>,
    urls: &[RedisUrl],
    mode: RedisMode,
    master: Option<&str>,
) {
    if mode == RedisMode::Single && urls.len() > 1 {
        section.violation("urls", "must be a single URL with mode single");
    }
    match (mode, master) {
        (RedisMode::Sentinel, None) => {
            section.violation("master", "is missing: Sentinel is asked for it by name");
        }
        (RedisMode::Single | RedisMode::Cluster, Some(_)) => {
            section.violation("master", "has no effect without mode sentinel");
        }
        _ => {}
    }
    if mode == RedisMode::Cluster && urls.iter().any(|url| url.database() != 0) {
        section.violation(
            "urls",
            "must not name a database: a Redis Cluster has only one",
        );
    }
    let Some((first, others)) = urls.split_first() else {
        return;
    };
    let differ = |what: fn(&RedisUrl) -> bool| others.iter().any(|url| what(url) != what(first));
    if differ(RedisUrl::is_tls) {
        section.violation("urls", "must be all redis:// or all rediss://");
    }
    if others.iter().any(|url| url.database() != first.database()) {
        section.violation("urls", "must all name the same database");
    }
    let credentials = |url: &RedisUrl| {
        let url = url.expose();
        (url.username().to_owned(), url.password().map(str::to_owned))
    };
    if others
        .iter()
        .any(|url| credentials(url) != credentials(first))
    {
        section.violation("urls", "must all have the same user name and password");
    }
}

fn read_credentials(
    section: &mut Section<'_>,
    urls: &[RedisUrl],
    mode: RedisMode,
) -> (Option<Secret>, Option<Secret>) {
    let (username, password) = (section.secret("username"), section.secret("password"));
    if section.has("username") && !section.has("password") {
        section.violation("username", "has no effect without password");
    }
    // The URLs of Sentinels hold the Sentinels' own credentials.
    let in_url = mode != RedisMode::Sentinel && urls.iter().any(RedisUrl::has_credentials);
    if section.has("password") && in_url {
        section.violation("password", "is also in the URL; remove one of the two");
    }
    (username, password)
}

fn read_ca(section: &mut Section<'_>, urls: &[RedisUrl]) -> Option<PathBuf> {
    let file: PathBuf = section.optional("ca")?;
    if urls.iter().any(|url| !url.is_tls()) {
        section.violation("ca", "has no effect on a redis:// URL");
    }
    pem_file(section, "ca", &file, "CERTIFICATE")
}

/// The key that is not in [`Redis`], because it is the same as a list of one.
pub(super) fn add_single_url(schema: &mut Schema) {
    let description = "Where it is: `redis://` or `rediss://`, user and password, host, port, number \
                       of the database. Never logged.";
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("url".to_owned(), json!({ "description": description }));
    }
}
