//! From a file to a checked [`Config`]: every section, and the rules between them.

use std::path::{Path, PathBuf};

use perijove_core::settings::{
    self, ConfigError, Configuration, Environment, Loaded, Reading, Section,
};

use serde_json::Value;

use crate::config::{
    Admin, BreakerSettings, Budgets, Cache, Cluster, Compression, Config, Consumer, HealthSettings,
    HedgeSettings, HistorySettings, HoldOffSettings, Jupiter, Jwt, KeysFile, Limits, Listen, Log,
    Methods, Plan, PriceSettings, RetrySettings, Runtime, Selection, Shutdown, TelemetrySettings,
    Tiers, UpstreamSettings, WebSocket, consumer::plan_of, own_addresses, schema, shared_budgets,
    warning,
};

/// Loads the configuration file at `path` in the environment of this process.
///
/// # Errors
/// The file cannot be read or is not YAML, or all errors in its settings.
pub fn load(path: &Path) -> Result<Loaded<Config>, ConfigError> {
    settings::load(path)
}

/// Loads it again in a process that already runs with an earlier version.
///
/// # Errors
/// As with [`load`].
pub fn load_again(path: &Path) -> Result<Loaded<Config>, ConfigError> {
    settings::load_again(path)
}

/// Reads the text of an earlier version of the file at `path` again, with what now stands in the files
/// that it names.
///
/// # Errors
/// All errors in its settings.
pub fn parse_again(path: &Path, text: &str) -> Result<Loaded<Config>, ConfigError> {
    settings::parse_again(path, text)
}

/// Checks the text of a configuration file.
///
/// # Errors
/// The text is not YAML, or all errors in its settings.
pub fn parse(text: &str, environment: &dyn Environment) -> Result<Loaded<Config>, ConfigError> {
    settings::parse(text, environment)
}

impl Configuration for Config {
    fn read(section: &mut Section<'_>) -> Self {
        let listen = section.nested("listen", Listen::read);
        let admin = section.nested("admin", Admin::read);
        own_addresses::refuse_double_addresses(section, &listen, &admin);
        let runtime = section.nested("runtime", Runtime::read);
        let shutdown = section.nested("shutdown", Shutdown::read);
        let log = section.nested("log", Log::read);
        let telemetry = section.nested("telemetry", TelemetrySettings::read);
        let limits = section.nested("limits", Limits::read);
        let compression = section.nested("compression", Compression::read);
        let plans = Plan::read_all(section);
        let (keys_file, keys) = read_keys_file(section);
        let consumers = Consumer::read_all(section, &plans, keys.as_ref());
        let jwt = Jwt::read(section, &plans);
        let anonymous_plan = plan_of(section, "anonymous_plan", &plans);
        let anonymous = read_anonymous(section, consumers.is_empty());
        let consumer_metrics = section.or("consumer_metrics", false);
        let cluster = section.nested("cluster", Cluster::read);
        let tiers = section.nested("tiers", Tiers::read);
        let own = own_addresses::OwnAddresses::new(&listen, &admin);
        let upstreams = UpstreamSettings::read_all(section, &tiers, &own);
        shared_budgets::refuse_contradictions(section, &upstreams);
        let mut has_redis = false;
        let cache = |section: &mut Section<'_>| {
            has_redis = section.has("redis");
            Cache::read(section)
        };
        Self {
            listen,
            admin,
            runtime,
            shutdown,
            log,
            telemetry,
            limits,
            compression,
            consumers,
            jwt,
            keys_file: keys_file.as_ref().map(|file| section.resolve(file)),
            plans,
            anonymous_plan,
            anonymous,
            consumer_metrics,
            cluster,
            tiers,
            upstreams,
            health: section.nested("health", HealthSettings::read),
            breaker: section.nested("breaker", BreakerSettings::read),
            hold_off: section.nested("hold_off", HoldOffSettings::read),
            retry: section.nested("retry", RetrySettings::read),
            hedge: section.nested("hedge", HedgeSettings::read),
            history: section.nested("history", HistorySettings::read),
            selection: section.nested("selection", Selection::read),
            methods: section.nested("methods", Methods::read),
            cache: section.nested("cache", cache),
            budgets: Budgets::read(section, has_redis, keys_file.as_deref()),
            price: section.nested("price", |section| PriceSettings::read(section, has_redis)),
            websocket: section.nested("websocket", WebSocket::read),
            jupiter: section.nested("jupiter", |section| read_jupiter(section, &own)),
        }
    }

    fn of_every_list() -> Value {
        schema::of_every_list()
    }

    fn look_for_doubts(&self, reading: &Reading<'_>) {
        warning::look_for_doubts(self, reading);
    }
}

/// Its upstreams must not be the gateway itself either.
fn read_jupiter(section: &mut Section<'_>, own: &own_addresses::OwnAddresses) -> Jupiter {
    let jupiter = Jupiter::read(section);
    for upstream in &jupiter.upstreams {
        let path = format!("jupiter.upstreams.{}.url", upstream.id);
        own.refuse(section, &path, &upstream.url);
    }
    jupiter
}

/// The keys file with its content; `None` if it cannot be read, which has been reported.
fn read_keys_file(section: &mut Section<'_>) -> (Option<PathBuf>, Option<KeysFile>) {
    let file: Option<PathBuf> = section.optional("keys_file");
    let keys = file.as_deref().map(|file| {
        let keys = section.file("keys_file", file, KeysFile::read);
        keys.unwrap_or_default()
    });
    (file, keys)
}

/// Whether anonymous callers are served: by default only if callers cannot be identified.
fn read_anonymous(section: &mut Section<'_>, no_consumers: bool) -> bool {
    let others = section.has("keys_file") || section.has("jwt");
    let anonymous = section.optional("anonymous");
    if anonymous == Some(false) && !others && section.is_empty_list("consumers") {
        section.violation(
            "anonymous",
            "is false without any consumers, so nobody could call",
        );
    }
    anonymous.unwrap_or(no_consumers && !others)
}
