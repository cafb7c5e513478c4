//! From a file to a checked [`Config`]: every section, and what must hold between them.

use std::path::Path;

use perijove_core::settings::{
    self, ConfigError, Configuration, Environment, Loaded, Reading, Section,
};

use serde_json::Value;

use crate::config::{
    Admin, Breaker, Cache, Cluster, Compression, Config, Consumer, Health, Hedge, History, HoldOff,
    Jupiter, Limits, Listen, Log, Methods, Plan, Price, Retry, Runtime, Selection, Shutdown, Tiers,
    Upstream, WebSocket, consumer::plan_of, listen, schema, warning,
};

/// Loads the configuration file at `path` in the environment of this process.
///
/// # Errors
/// The file cannot be read, is not YAML, or everything that is wrong with its settings.
pub fn load(path: &Path) -> Result<Loaded<Config>, ConfigError> {
    settings::load(path)
}

/// Loads it once more in a process that runs with what it said before.
///
/// # Errors
/// As with [`load`].
pub fn load_again(path: &Path) -> Result<Loaded<Config>, ConfigError> {
    settings::load_again(path)
}

/// Checks the text of a configuration file.
///
/// # Errors
/// The text is not YAML, or everything that is wrong with its settings.
pub fn parse(text: &str, environment: &dyn Environment) -> Result<Loaded<Config>, ConfigError> {
    settings::parse(text, environment)
}

impl Configuration for Config {
    fn read(section: &mut Section<'_>) -> Self {
        let listen = section.nested("listen", Listen::read);
        let admin = section.nested("admin", Admin::read);
        listen::refuse_double_addresses(section, &listen, &admin);
        let runtime = section.nested("runtime", Runtime::read);
        let shutdown = section.nested("shutdown", Shutdown::read);
        let log = section.nested("log", Log::read);
        let limits = section.nested("limits", Limits::read);
        let compression = section.nested("compression", Compression::read);
        let plans = Plan::read_all(section);
        let consumers = Consumer::read_all(section, &plans);
        let anonymous_plan = plan_of(section, "anonymous_plan", &plans);
        let anonymous = section
            .optional("anonymous")
            .unwrap_or(consumers.is_empty());
        if !anonymous && section.is_empty_list("consumers") {
            section.violation(
                "anonymous",
                "nobody could call: it is false without consumers",
            );
        }
        let consumer_metrics = section.or("consumer_metrics", false);
        let cluster = section.nested("cluster", Cluster::read);
        let tiers = section.nested("tiers", Tiers::read);
        let own = listen::Own::new(&listen, &admin);
        let upstreams = Upstream::read_all(section, &tiers, &own);
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
            limits,
            compression,
            consumers,
            plans,
            anonymous_plan,
            anonymous,
            consumer_metrics,
            cluster,
            tiers,
            upstreams,
            health: section.nested("health", Health::read),
            breaker: section.nested("breaker", Breaker::read),
            hold_off: section.nested("hold_off", HoldOff::read),
            retry: section.nested("retry", Retry::read),
            hedge: section.nested("hedge", Hedge::read),
            history: section.nested("history", History::read),
            selection: section.nested("selection", Selection::read),
            methods: section.nested("methods", Methods::read),
            cache: section.nested("cache", cache),
            price: section.nested("price", |section| Price::read(section, has_redis)),
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

/// None of its upstreams may be the gateway itself either.
fn read_jupiter(section: &mut Section<'_>, own: &listen::Own) -> Jupiter {
    let jupiter = Jupiter::read(section);
    for upstream in &jupiter.upstreams {
        let path = format!("jupiter.upstreams.{}.url", upstream.id);
        own.refuse(section, &path, &upstream.url);
    }
    jupiter
}
