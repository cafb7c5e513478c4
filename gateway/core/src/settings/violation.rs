//! What is wrong with a configuration: every violation with its place, and all of them together.

use std::fmt;

use crate::settings::files::Files;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key, such as `upstreams[1].timeouts.connect`; empty for the file as a whole.
    pub path: String,
    /// Never contains a value, which may be secret; only names of files and log levels are shown.
    pub message: String,
    /// Whether the settings are fine and what is wrong lies in a file that they name and that the
    /// program looks after by itself.
    pub is_apart: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// A configuration that was refused, with everything that is wrong about it: one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Never empty; in the order of the settings, not of the file.
    pub violations: Vec<Violation>,
    /// What was read or looked for, so that a correction can be noticed.
    pub files: Files,
}

impl ConfigError {
    /// An error about the file as a whole.
    pub(super) fn whole(message: String) -> Self {
        Self {
            violations: vec![Violation {
                path: String::new(),
                message,
                is_apart: false,
            }],
            files: Files::default(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.violations.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}
