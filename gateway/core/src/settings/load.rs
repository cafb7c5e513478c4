//! From a file to checked settings: read, parse, walk. The settings' own `read` reports what is
//! wrong.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;

use serde_json::Value;

use crate::Secret;
use crate::settings::configuration::Configuration;
use crate::settings::document::document;
use crate::settings::environment::{Environment, ProcessEnvironment};
use crate::settings::files::Files;
use crate::settings::interpolate::interpolate;
use crate::settings::outline::Outline;
use crate::settings::reading::{Reading, unreadable};
use crate::settings::schema::described;
use crate::settings::spelling::elsewhere;
use crate::settings::violation::ConfigError;

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Loaded<C> {
    pub config: C,
    /// What is valid but probably not intended, one sentence each with its place.
    pub warnings: Vec<String>,
    /// Differs whenever the text or anything it refers to differs.
    pub digest: Digest,
    /// The files that were read: the configuration, if it is one, and secrets and certificates.
    pub files: Files,
    /// What to compare with another one's, to see which settings have changed.
    pub outline: Outline,
    /// What it was read from.
    pub text: Secret,
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
pub fn load<C: Configuration>(path: &Path) -> Result<Loaded<C>, ConfigError> {
    load_in(path, |directory| ProcessEnvironment::new(directory))
}

/// Loads it again, for a program that already runs with an earlier version.
///
/// # Errors
/// As with [`load`].
pub fn load_again<C: Configuration>(path: &Path) -> Result<Loaded<C>, ConfigError> {
    load_in(path, |directory| {
        ProcessEnvironment::new(directory).running()
    })
}

/// Reads the text of an earlier version of the file at `path` again, with what now stands in the files
/// that it names.
///
/// # Errors
/// Everything that is wrong with its settings.
pub fn parse_again<C: Configuration>(path: &Path, text: &str) -> Result<Loaded<C>, ConfigError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    parse(text, &ProcessEnvironment::new(directory).running())
}

fn load_in<C: Configuration>(
    path: &Path,
    environment: impl FnOnce(&Path) -> ProcessEnvironment,
) -> Result<Loaded<C>, ConfigError> {
    let contents = super::read_text(path);
    let mut files = Files::default();
    files.note(path.to_owned(), &contents);
    let loaded = contents
        .map_err(|error| ConfigError::whole(unreadable(path, &error)))
        .and_then(|text| {
            let directory = path.parent().unwrap_or(Path::new(""));
            parse(&text, &environment(directory))
        });
    match loaded {
        Ok(mut loaded) => {
            loaded.files.extend(files);
            Ok(loaded)
        }
        Err(mut error) => {
            error.files.extend(files);
            Err(error)
        }
    }
}

/// Checks the text of a configuration file.
///
/// # Errors
/// The text is not YAML, or everything that is wrong with its settings.
pub fn parse<C: Configuration>(
    text: &str,
    environment: &dyn Environment,
) -> Result<Loaded<C>, ConfigError> {
    let document = document(text)?;
    let reading = Reading::new(environment);
    let config = reading.root(&document, C::read);
    let mut violations = reading.violations.take();
    if !violations.is_empty() {
        for (place, key) in reading.misplaced.take() {
            let keys = described::<C>(&C::of_every_list());
            let places: Vec<_> = keys.into_iter().map(|key| key.path).collect();
            if let (Some(violation), Some(said)) =
                (violations.get_mut(place), elsewhere(&key, &places))
            {
                violation.message = said;
            }
        }
        let files = reading.files.take();
        return Err(ConfigError { violations, files });
    }
    config.look_for_doubts(&reading);
    let files = reading.files.take();
    let outline = outline(&document, environment, &files);
    let mut digest = reading.digest.take();
    text.hash(&mut digest);
    Ok(Loaded {
        config,
        warnings: reading.warnings.take(),
        digest: Digest(digest.finish()),
        files,
        outline,
        text: Secret::new(text),
    })
}

/// The document with a fingerprint for each text: of its result, and of the file it names.
fn outline(document: &Value, environment: &dyn Environment, files: &Files) -> Outline {
    Outline::of(document, |text| {
        let resolved = interpolate(text, |name| environment.variable(name));
        let resolved = resolved.as_deref().unwrap_or(text);
        let file = environment.directory().join(resolved);
        let mut hasher = DefaultHasher::new();
        (text, resolved, files.fingerprint(&file)).hash(&mut hasher);
        hasher.finish()
    })
}
