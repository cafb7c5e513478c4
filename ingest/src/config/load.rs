//! From a file to a checked [`Config`]: every section, and what must hold between them.

use std::path::Path;

use perijove_core::settings::{
    self, ConfigError, Configuration, Environment, Loaded, Reading, Section,
};

use crate::config::{
    Batch, BreakerSettings, Buffer, Config, Database, HttpSettings, Kafka, Log, Mechanism, Redis,
    Security, Shutdown, Stream,
};

/// Loads the configuration file at `path` in the environment of this process.
///
/// # Errors
/// The file cannot be read or is not YAML, or all errors in its settings.
pub fn load(path: &Path) -> Result<Loaded<Config>, ConfigError> {
    settings::load(path)
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
        let http = section.nested("http", HttpSettings::read);
        let log = section.nested("log", Log::read);
        let kafka = Kafka::read_from(section);
        let streams = Stream::read_all(section);
        let batch = section.nested("batch", Batch::read);
        let buffer = section.nested("buffer", Buffer::read);
        let database = section.nested("database", Database::read);
        let redis = Redis::read_from(section);
        let breaker = section.nested("breaker", BreakerSettings::read);
        let shutdown = section.nested("shutdown", Shutdown::read);
        if let Some(kafka) = &kafka
            && shutdown.grace >= kafka.session_timeout
        {
            section.violation(
                "shutdown.grace",
                "must be below kafka.session_timeout, after which another process has the \
                 partitions",
            );
        }
        Self {
            http,
            log,
            kafka,
            streams,
            batch,
            buffer,
            database,
            redis,
            breaker,
            shutdown,
        }
    }

    fn look_for_doubts(&self, reading: &Reading<'_>) {
        if let Some(kafka) = &self.kafka {
            look_at(kafka, reading);
        }
        if self.redis.is_none() {
            reading.warn("redis", "is not set; the gateway will have no prices");
        }
        if let Some(address) = self.http.listen.filter(|at| at.ip().is_unspecified()) {
            reading.warn(
                "http.listen",
                format_args!("{address} is open to every network"),
            );
        }
    }
}

fn look_at(kafka: &Kafka, reading: &Reading<'_>) {
    if kafka.security == Security::SaslPlaintext && kafka.mechanism == Mechanism::Plain {
        reading.warn(
            "kafka.mechanism",
            "sends the password unencrypted; use scram-sha-512 or sasl_ssl",
        );
    }
    let named = kafka.username.as_ref();
    if named.is_some_and(|name| !kafka.group.id.starts_with(name.expose())) {
        reading.warn(
            "kafka.group",
            "does not begin with kafka.username, which Bitquery asks for",
        );
    }
    if kafka.tls.ca.is_none() && kafka.security.is_tls() {
        reading.warn(
            "kafka.tls.ca",
            "is not set; only this system's certificate authorities are trusted, and Bitquery's is \
             not one of them",
        );
    }
}
