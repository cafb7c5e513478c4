//! The commands that print and exit: `check`, `schema` and `health`.

use std::io::Write;
use std::path::Path;

use perijove_core::counted;

use crate::cli::{ConfigSource, Exit};
use crate::config::{self, ConfigError, Loaded, ProcessEnvironment};

/// Printed wherever no file is given: otherwise somebody who forgot it would look for the fault in
/// the upstreams.
pub(super) const DEMO: &str = "no configuration file: running the built-in demo, which serves three \
                               stand-in validators on this machine to every local client; name a \
                               file with --config FILE or PERIJOVE_CONFIG";

/// Loads the given file, or the embedded demo.
pub(super) fn load(source: &ConfigSource) -> Result<Loaded, ConfigError> {
    match &source.config {
        Some(path) => config::load(path),
        None => config::parse(config::DEMO, &ProcessEnvironment::new(Path::new(""))),
    }
}

/// Prints every error in a configuration, or a summary of it.
pub(super) fn check(source: &ConfigSource) -> Exit {
    let name = source.config.as_deref().map_or_else(
        || "the embedded configuration".to_owned(),
        |path| path.display().to_string(),
    );
    match load(source) {
        Ok(loaded) => {
            if source.config.is_none() {
                complain(&format!("warning: {DEMO}"));
            }
            for warning in &loaded.warnings {
                complain(&format!("warning: {warning}"));
            }
            let upstreams = counted(loaded.config.upstreams.len(), "upstream");
            let consumers = counted(loaded.config.consumers.len(), "consumer");
            say(&format!("{name} is valid: {upstreams}, {consumers}"));
            Exit::Done
        }
        Err(error) => {
            complain(&format!("{name} is not valid:\n{error}"));
            Exit::BadConfig
        }
    }
}

/// Prints the JSON Schema of the configuration.
pub(super) fn schema() -> Exit {
    say(&format!("{:#}", config::schema()));
    Exit::Done
}

/// A closed pipe is no reason to fail.
pub(super) fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// Writes to standard error, before or without a log.
pub(super) fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
