//! The address of a database or Redis, whose password is never printed.

use std::fmt;
use std::path::Path;

use perijove_core::Secret;
use perijove_core::settings::{Section, Setting};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use url::Url;

/// The address of a database or of Redis. `Display` and `Debug` leave user and password out.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Url);

/// Why a text is not such an address. Never shows the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("`{found}:` is not supported; write {usual}")]
    Scheme { found: String, usual: String },
    #[error("is not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    #[error("has no host")]
    Host,
    #[error("has no file name")]
    File,
}

impl StoreUrl {
    /// Reads an address of one of these kinds.
    ///
    /// # Errors
    /// Says what is wrong, without the text.
    pub fn parse(text: &str, schemes: &[&'static str]) -> Result<Self, UrlFault> {
        let url = Url::parse(text)?;
        if !schemes.contains(&url.scheme()) {
            return Err(UrlFault::Scheme {
                found: url.scheme().to_owned(),
                usual: usual(schemes),
            });
        }
        match url.scheme() {
            "sqlite" if url.path().trim_start_matches('/').is_empty() => Err(UrlFault::File),
            "sqlite" => Ok(Self(url)),
            _ if url.host_str().unwrap_or_default().is_empty() => Err(UrlFault::Host),
            _ => Ok(Self(url)),
        }
    }

    /// A SQLite file.
    pub(super) fn sqlite(file: &Path) -> Self {
        let text = format!("sqlite:{}", file.display());
        Self(Url::parse(&text).unwrap_or_else(|_| unreachable!("a path after a scheme is a URL")))
    }

    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The whole address with the password, for the one place that opens it.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// Reads the key of a section. None when it is absent or has been reported.
    pub(super) fn read(
        section: &mut Section<'_>,
        key: &'static str,
        schemes: &[&'static str],
        default: Option<&Self>,
    ) -> Option<Self> {
        let text = match default {
            Some(default) => section.or(key, Text(Secret::new(default.0.as_str()))),
            None => section.optional::<Text>(key)?,
        };
        if section.written_text(key).is_some_and(shows_password) {
            section.violation(
                key,
                "its password must not be in the file itself; write ${NAME} for an environment \
                 variable, or use `password`",
            );
        }
        match Self::parse(text.0.expose(), schemes) {
            Ok(url) => Some(url),
            Err(_) if !section.has(key) => None,
            Err(fault) => {
                section.violation(key, fault);
                None
            }
        }
    }

    /// With the path of a SQLite file taken from the directory of the configuration.
    pub(super) fn resolved(self, section: &Section<'_>) -> Self {
        let relative = self.0.cannot_be_a_base() && self.0.scheme() == "sqlite";
        if !relative || self.0.path().starts_with(':') {
            return self;
        }
        let mut resolved = Self::sqlite(&section.resolve(Path::new(self.0.path())));
        resolved.0.set_query(self.0.query());
        resolved
    }
}

/// How addresses of these kinds are written.
fn usual(schemes: &[&'static str]) -> String {
    let one = |scheme: &&'static str| match *scheme {
        "sqlite" => Some("sqlite:FILE"),
        "postgres" => Some("postgres://USER@HOST/DATABASE"),
        "redis" => Some("redis://HOST:PORT"),
        "rediss" => Some("rediss://HOST:PORT (with TLS)"),
        _ => None,
    };
    let known: Vec<&str> = schemes.iter().filter_map(one).collect();
    known.join(" or ")
}

/// Whether the text as it stands in the file has a password that is no reference.
fn shows_password(written: &str) -> bool {
    let Some((_, rest)) = written.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else {
        return false;
    };
    user.split_once(':')
        .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with("${"))
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.0.scheme())?;
        if let Some(host) = self.0.host_str() {
            write!(formatter, "//{host}")?;
        }
        if let Some(port) = self.0.port() {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(self.0.path())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoreUrl({self})")
    }
}

impl JsonSchema for StoreUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StoreUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The text of an address, which may be secret.
struct Text(Secret);

impl Setting for Text {
    const EXPECTED: &'static str = "the address of a store";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(Secret::new(text)))
    }

    fn show(&self) -> Value {
        json!(self.0.expose())
    }

    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 4] = ["sqlite", "postgres", "redis", "rediss"];

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        for (text, shown) in [
            (
                "postgres://app:hunter2@db.local:5433/trades?sslmode=require",
                "postgres://db.local:5433/trades",
            ),
            (
                "redis://:hunter2@127.0.0.1:6379/2",
                "redis://127.0.0.1:6379/2",
            ),
            (
                "sqlite:data/perijove.db?mode=rwc",
                "sqlite:data/perijove.db",
            ),
            (
                "sqlite:///var/lib/perijove.db",
                "sqlite:/var/lib/perijove.db",
            ),
            ("sqlite::memory:", "sqlite::memory:"),
        ] {
            let url = StoreUrl::parse(text, &ALL).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_such_address_is_refused_without_its_text() {
        for (text, expected) in [
            (
                "mysql://db/trades",
                "`mysql:` is not supported; write sqlite:FILE or postgres://USER@HOST/DATABASE or \
                 redis://HOST:PORT or rediss://HOST:PORT (with TLS)",
            ),
            ("postgres:///trades", "has no host"),
            ("sqlite://", "has no file name"),
            ("here", "is not a URL: relative URL without a base"),
        ] {
            let fault = StoreUrl::parse(text, &ALL).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_password_in_the_file_is_seen() {
        for (text, expected) in [
            ("postgres://app:hunter2@db/trades", true),
            ("postgres://app:${PASSWORD}@db/trades", false),
            ("postgres://app@db/trades", false),
            ("postgres://app:@db/trades", false),
            ("redis://:hunter2@localhost", true),
            ("redis://localhost:6379/a@b:c", false),
            ("${DATABASE_URL}", false),
            ("${DATABASE_URL:-postgres://app:hunter2@db/x}", true),
            ("sqlite:a.db", false),
        ] {
            assert_eq!(shows_password(text), expected, "{text}");
        }
    }
}
