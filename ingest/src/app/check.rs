//! The commands that print and exit: `check`, `schema`, `health` and `base58`.

use std::path::Path;

use crate::app::console::{complain, say};
use crate::cli::{Base58Args, ConfigArgs, Exit, HealthArgs};
use crate::config::{self, Config, ConfigError, Kafka, Loaded, ProcessEnvironment};

/// No Kafka to read from.
#[derive(Debug, thiserror::Error)]
#[error("Kafka is not configured, or is disabled; see `kafka`")]
pub(super) struct NoKafka;

/// Loads the given file, or the defaults.
pub(super) fn load(source: &ConfigArgs) -> Result<Loaded, ConfigError> {
    match &source.config {
        Some(path) => config::load(path),
        None => config::parse("", &ProcessEnvironment::new(Path::new(""))),
    }
}

/// # Errors
/// There is none.
pub(super) fn kafka(config: &Config) -> Result<&Kafka, NoKafka> {
    config.kafka.as_ref().ok_or(NoKafka)
}

/// Carries out a command about Kafka, or says why it cannot.
pub(super) fn with_kafka(
    source: &ConfigArgs,
    command: impl FnOnce(&Kafka, &Config) -> Exit,
) -> Exit {
    let refuse = |error: &dyn std::error::Error| {
        complain(&error.to_string());
        Exit::BadConfig
    };
    match load(source) {
        Err(error) => refuse(&error),
        Ok(Loaded { config, .. }) => match kafka(&config) {
            Err(error) => refuse(&error),
            Ok(kafka) => command(kafka, &config),
        },
    }
}

/// Prints every error in a configuration, or a summary of it.
pub(super) fn check(source: &ConfigArgs) -> Exit {
    let name = source.config.as_deref().map_or_else(
        || "the default configuration".to_owned(),
        |path| path.display().to_string(),
    );
    match load(source) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                complain(&format!("warning: {warning}"));
            }
            say(&format!("{name} is valid: {}", summary(&loaded.config)));
            Exit::Done
        }
        Err(error) => {
            complain(&format!("{name} is not valid:\n{error}"));
            Exit::BadConfig
        }
    }
}

fn summary(config: &Config) -> String {
    let topics: Vec<&str> = config
        .streams
        .iter()
        .map(|stream| stream.topic.as_str())
        .collect();
    let from = match &config.kafka {
        Some(kafka) => format!("Kafka as group {}", kafka.group.id),
        None => "recordings only".to_owned(),
    };
    let redis = match &config.redis {
        Some(redis) => redis.url.to_string(),
        None => "no Redis".to_owned(),
    };
    let database = &config.database.url;
    format!(
        "{} from {from} into {database} and {redis}",
        topics.join(", ")
    )
}

/// Whether a running program is healthy.
pub(super) fn health(health: &HealthArgs) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let well = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime
                .block_on(perijove_core::health::well(&health.addresses, health.wait))
                .map_err(|error| error.to_string())
        });
    match well {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error);
            Exit::Failed
        }
    }
}

/// Prints bytes as SQL writes them.
pub(super) fn base58(what: &Base58Args) -> Exit {
    for text in &what.texts {
        match bs58::decode(text).into_vec() {
            Ok(bytes) => {
                say(&format!("X'{}'", hex::encode(bytes)));
            }
            Err(error) => {
                complain(&format!("`{text}` is not base58: {error}"));
                return Exit::Failed;
            }
        }
    }
    Exit::Done
}

/// Prints the JSON Schema of the configuration.
pub(super) fn schema() -> Exit {
    say(&format!("{:#}", config::schema()));
    Exit::Done
}
