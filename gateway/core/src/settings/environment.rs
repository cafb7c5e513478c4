//! What a configuration may refer to outside its own text: variables and files.

use std::io;
use std::path::{Path, PathBuf};

/// The surroundings a configuration is read in. Tests bring their own.
pub trait Environment {
    /// The value of an environment variable; None when it is not set or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// The directory that relative paths start from: the one of the configuration file.
    fn directory(&self) -> &Path;

    /// The text of a file the configuration names.
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// The environment of this process.
#[derive(Clone, Debug)]
pub struct ProcessEnvironment {
    directory: PathBuf,
}

impl ProcessEnvironment {
    /// Relative paths start from `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
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
}
