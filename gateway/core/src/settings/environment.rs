//! What a configuration may refer to outside its own text: variables and files.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The surroundings a configuration is read in. Tests bring their own.
pub trait Environment {
    /// The value of an environment variable; `None` if it is not set or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The directory that relative paths start from: the one of the configuration file.
    fn directory(&self) -> &Path;

    /// The text of a file the configuration names.
    fn read(&self, path: &Path) -> io::Result<String> {
        super::read_text(path)
    }

    /// The current time, against which dates in certificates are checked.
    #[expect(
        clippy::disallowed_methods,
        reason = "where tests bring a clock of their own"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Whether a running program reads its file again. Files that it manages itself (certificates)
    /// stay in use in their last valid version, so a fault in them is not a configuration error.
    fn is_running(&self) -> bool {
        false
    }
}

/// The environment of this process.
#[derive(Clone, Debug)]
pub struct ProcessEnvironment {
    directory: PathBuf,
    is_running: bool,
}

impl ProcessEnvironment {
    /// Relative paths start from `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            is_running: false,
        }
    }

    /// The same for a program that runs already.
    #[must_use]
    pub fn running(self) -> Self {
        Self {
            is_running: true,
            ..self
        }
    }
}

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    fn is_running(&self) -> bool {
        self.is_running
    }
}
