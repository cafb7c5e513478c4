//! Reading settings from one YAML file: references to the environment, secrets, bounds, every error
//! at once with its place, the schema of it all, and noticing that the file has changed.
//!
//! Each program defines its settings: its types read themselves through a
//! [`Section`] and form a [`Configuration`].

mod configuration;
mod document;
mod environment;
mod files;
mod identity;
mod interpolate;
mod load;
mod outline;
mod pem;
mod read_file;
mod reading;
mod schema;
mod setting;
mod spelling;
mod violation;
mod watch;

#[doc(hidden)]
pub use serde_json;

pub use configuration::Configuration;
pub use environment::{Environment, ProcessEnvironment};
pub use files::Files;
pub use identity::{refuse_doubles, required_id, required_name};
pub use interpolate::is_name;
pub use load::{Digest, Loaded, load, load_again, parse, parse_again};
pub use outline::Outline;
pub use pem::{pem_file, required_pem};
pub use read_file::{read_bytes, read_text};
pub use reading::{Key, Reading, Section};
pub use schema::{KeyReference, described, reference, schema};
pub use setting::{REFERENCE, Setting, Size, plain, words};
pub use spelling::close;
pub use strsim::levenshtein;
pub use violation::{ConfigError, Violation};
pub use watch::{Watch, watch};
