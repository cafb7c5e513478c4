//! One pass over the parsed file: single values and secrets, and everything that is wrong,
//! collected instead of stopping at the first.
//!
//! The [`Section`]s know which keys exist; each settings type knows in its `read` what they mean;
//! [`Setting`] knows how a value is written. Reading also describes itself: each key records its
//! default and bounds, from which the schema is completed.

mod section;

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::Hash;
use std::io;
use std::path::{Path, PathBuf};

use crate::Secret;
use serde_json::Value;

use crate::settings::environment::Environment;
use crate::settings::files::Files;
use crate::settings::interpolate::{self, interpolate};
use crate::settings::setting::{Setting, plain};
use crate::settings::spelling;
use crate::settings::violation::Violation;

pub use section::Section;

/// One pass over one file.
pub struct Reading<'e> {
    pub(super) environment: &'e dyn Environment,
    /// Whether an unset variable is passed over: true within what is switched off.
    lenient: Cell<bool>,
    pub(super) violations: RefCell<Vec<Violation>>,
    /// Which of them are about keys that are not known where they stand, by their places.
    pub(super) misplaced: RefCell<Vec<(usize, String)>>,
    pub(super) warnings: RefCell<Vec<String>>,
    /// Over all that came from outside the file.
    pub(super) digest: RefCell<DefaultHasher>,
    /// Files that were read besides the configuration.
    pub(super) files: RefCell<Files>,
    pub(super) keys: RefCell<Vec<Key>>,
}

/// What reading knows of one key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Such as `upstreams[].timeouts.connect`, with `[0]` for `[]` while it is being read.
    pub path: String,
    /// Without default and bounds.
    pub schema: Value,
    /// As one would write it; None when there is no single one.
    pub default: Option<Value>,
    /// The least and the most, both allowed.
    pub bounds: Option<(Value, Value)>,
    pub required: bool,
}

impl<'e> Reading<'e> {
    pub(super) fn new(environment: &'e dyn Environment) -> Self {
        Self {
            environment,
            lenient: Cell::new(false),
            violations: RefCell::default(),
            misplaced: RefCell::default(),
            warnings: RefCell::default(),
            digest: RefCell::default(),
            files: RefCell::default(),
            keys: RefCell::default(),
        }
    }

    /// Records a warning: valid but probably not intended.
    pub fn warn(&self, path: impl fmt::Display, message: impl fmt::Display) {
        self.warnings
            .borrow_mut()
            .push(format!("{path}: {message}"));
    }

    fn violation(&self, path: &str, message: impl fmt::Display) {
        let violation = Violation {
            path: path.to_owned(),
            message: message.to_string(),
            is_apart: false,
        };
        self.violations.borrow_mut().push(violation);
    }

    /// A key that is not known at this place, where those there are like none of them.
    fn unknown(&self, path: &str, key: &str, known: &[&str]) {
        if spelling::close(key, known).is_none() {
            let place = self.violations.borrow().len();
            self.misplaced.borrow_mut().push((place, key.to_owned()));
        }
        self.violation(path, spelling::unknown(key, known));
    }

    /// A fault in a file that the program manages itself.
    fn fault_apart(&self, path: &str, message: impl fmt::Display) {
        if self.environment.is_running() {
            self.warn(path, message);
            return;
        }
        let violation = Violation {
            path: path.to_owned(),
            message: message.to_string(),
            is_apart: true,
        };
        self.violations.borrow_mut().push(violation);
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = self.environment.variable(name);
        (name, &value).hash(&mut *self.digest.borrow_mut());
        value
    }

    /// The text of a single value with its references replaced; None when there is none, which
    /// has been reported then.
    fn text(&self, path: &str, value: &Value, expected: &str) -> Option<String> {
        match value {
            Value::String(text) => match interpolate(text, |name| self.variable(name)) {
                Ok(text) => Some(text),
                Err(interpolate::Fault::Unset(_)) if self.lenient.get() => None,
                Err(fault) => {
                    self.violation(path, fault);
                    None
                }
            },
            Value::Number(_) | Value::Bool(_) => Some(plain(value)),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                self.violation(path, format_args!("must be {expected}"));
                None
            }
        }
    }

    fn setting<T: Setting>(&self, path: &str, value: &Value) -> Option<T> {
        let text = self.text(path, value, T::EXPECTED)?;
        let setting = T::from_text(&text);
        if setting.is_none() {
            self.violation(path, format_args!("must be {}", T::EXPECTED));
        }
        setting
    }

    /// The text of a file the configuration names. A last line ending is not part of it.
    fn file(&self, path: &str, file: &Path) -> Option<String> {
        let file = self.environment.directory().join(file);
        let contents = self.environment.read(&file);
        self.files.borrow_mut().note(file.clone(), &contents);
        match contents {
            Ok(mut text) => {
                (&file, &text).hash(&mut *self.digest.borrow_mut());
                let end = text.trim_end_matches(['\n', '\r']).len();
                text.truncate(end);
                Some(text)
            }
            Err(error) => {
                self.violation(path, unreadable(&file, &error));
                None
            }
        }
    }

    /// Warns of a reference that has not been replaced. Not which: it may be part of a secret.
    fn doubt(&self, path: &str, written: Option<&str>, text: &str) {
        if interpolate::is_left(written, text) {
            self.warn(
                path,
                "holds a literal `$NAME` or `${`, which is sent as it is: write `${NAME}` here for \
                 an environment variable, and `$$` for a plain `$`; what a variable or a file holds \
                 is not looked into again",
            );
        }
    }

    /// The text of a file that the program manages itself: it is no part of the configuration,
    /// whose digest does not change when the file does.
    fn file_apart(&self, file: &Path) -> Result<String, String> {
        let file = self.environment.directory().join(file);
        let contents = self.environment.read(&file);
        contents.map_err(|error| unreadable(&file, &error))
    }

    /// A secret: text, or `{file: path}`.
    fn secret(&self, path: &str, value: &Value) -> Option<Secret> {
        const EXPECTED: &str = "text or {file: path}";
        let text = match value {
            Value::Object(fields) => {
                let file = if let (Some(file), 1) = (fields.get("file"), fields.len()) {
                    self.setting::<PathBuf>(&format!("{path}.file"), file)?
                } else {
                    self.violation(path, format_args!("must be {EXPECTED}"));
                    return None;
                };
                self.file(&format!("{path}.file"), &file)?
            }
            value => self.text(path, value, EXPECTED)?,
        };
        if text.is_empty() {
            // In a section that is switched off, an empty variable counts as unset.
            if !self.lenient.get() {
                self.violation(path, "is empty");
            }
            return None;
        }
        self.doubt(path, value.as_str(), &text);
        Some(Secret::new(text))
    }
}

/// Says that a file cannot be read, in words that are the same on every system.
pub(super) fn unreadable(file: &Path, error: &io::Error) -> String {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot read {}: {reason}", file.display())
}
