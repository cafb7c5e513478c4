//! From a file to a checked [`Config`]: read, parse, walk, compare across sections.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_saphyr::{MessageFormatter, Options, UserMessageFormatter};

use crate::config::environment::{Environment, ProcessEnvironment};
use crate::config::reading::{Reading, Section, unreadable};
use crate::config::violation::ConfigError;
use crate::config::{
    Admin, Breaker, Cluster, Compression, Config, Consumer, Health, Hedge, HoldOff, Limits, Listen,
    Log, Methods, Retry, Runtime, Selection, Shutdown, Tiers, Upstream, listen, warning,
};

/// A configuration that may be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// What is allowed but probably not meant, one sentence each with its place.
    pub warnings: Vec<String>,
    /// Differs whenever the text or anything it refers to differs.
    pub digest: Digest,
    /// The files besides the configuration that were read: secrets and certificates.
    pub files: Vec<PathBuf>,
}

/// A fingerprint of a configuration with its secrets. Only good for comparing within one build
/// of the program; never published, since it depends on the secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(***)")
    }
}

/// Loads the configuration file at `path` in the environment of this process.
///
/// # Errors
/// The file cannot be read, is not YAML, or everything that is wrong with its settings.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::whole(unreadable(path, &error)))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    parse(&text, &ProcessEnvironment::new(directory))
}

/// Checks the text of a configuration file.
///
/// # Errors
/// The text is not YAML, or everything that is wrong with its settings.
pub fn parse(text: &str, environment: &dyn Environment) -> Result<Loaded, ConfigError> {
    let document = document(text)?;
    let reading = Reading::new(environment);
    let config = reading.root(&document, Config::read);
    let violations = reading.violations.take();
    if !violations.is_empty() {
        return Err(ConfigError { violations });
    }
    warning::look_for_doubts(&config, &reading);
    let mut digest = reading.digest.take();
    text.hash(&mut digest);
    Ok(Loaded {
        config,
        warnings: reading.warnings.take(),
        digest: Digest(digest.finish()),
        files: reading.files.take(),
    })
}

/// The file as a tree. An empty file is an empty mapping.
fn document(text: &str) -> Result<Value, ConfigError> {
    let mut options = Options::default();
    // A snippet of the text could show a secret.
    options.with_snippet = false;
    // `off` and `yes` are words, as in YAML 1.2.
    options.strict_booleans = true;
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(document @ (Value::Object(_) | Value::Null)) => Ok(document),
        Ok(_) => Err(ConfigError::whole(
            "the file must be a mapping of keys to values".to_owned(),
        )),
        Err(error) => {
            let message = UserMessageFormatter.format_message(&error).into_owned();
            let place = error.location().map_or_else(String::new, |location| {
                format!("line {}, column {}: ", location.line(), location.column())
            });
            Err(ConfigError::whole(format!(
                "{place}not valid YAML: {message}"
            )))
        }
    }
}

impl Config {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let listen = section.nested("listen", Listen::read);
        let admin = section.nested("admin", Admin::read);
        listen::refuse_double_addresses(section, &listen, &admin);
        let runtime = section.nested("runtime", Runtime::read);
        let shutdown = section.nested("shutdown", Shutdown::read);
        let log = section.nested("log", Log::read);
        let limits = section.nested("limits", Limits::read);
        let compression = section.nested("compression", Compression::read);
        let consumers = Consumer::read_all(section);
        let anonymous = section
            .optional("anonymous")
            .unwrap_or(consumers.is_empty());
        if !anonymous && section.is_empty_list("consumers") {
            section.violation(
                "anonymous",
                "nobody could call: it is false without consumers",
            );
        }
        let cluster = section.nested("cluster", Cluster::read);
        let tiers = section.nested("tiers", Tiers::read);
        let upstreams = Upstream::read_all(section, &tiers);
        Self {
            listen,
            admin,
            runtime,
            shutdown,
            log,
            limits,
            compression,
            consumers,
            anonymous,
            cluster,
            tiers,
            upstreams,
            health: section.nested("health", Health::read),
            breaker: section.nested("breaker", Breaker::read),
            hold_off: section.nested("hold_off", HoldOff::read),
            retry: section.nested("retry", Retry::read),
            hedge: section.nested("hedge", Hedge::read),
            selection: section.nested("selection", Selection::read),
            methods: section.nested("methods", Methods::read),
        }
    }
}
