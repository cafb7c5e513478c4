//! The address of a Redis server, of which only host and port are printed: it may hold a password.

use std::borrow::Cow;
use std::fmt;

use redis::IntoConnectionInfo;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use url::Url;

use crate::config::UrlFault;
use crate::config::upstream::{self, is_nearby};

/// The address of a Redis server: `redis://user:password@host:6379/0`, or `rediss://` for TLS.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Url);

impl RedisUrl {
    /// Reads a `redis` or `rediss` URL.
    ///
    /// # Errors
    /// Says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, RedisUrlFault> {
        let url = upstream::parse(text)?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err(RedisUrlFault::Scheme);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(RedisUrlFault::Query);
        }
        let database = url.path().trim_start_matches('/');
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err(RedisUrlFault::Database);
        }
        // Host and credentials are checked by the client library.
        if url.clone().into_connection_info().is_err() {
            return Err(RedisUrlFault::Other);
        }
        Ok(Self(url))
    }

    /// The whole URL, including secrets.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "rediss"
    }

    /// Host and port, which are no secret.
    pub fn server(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{host}:{}", self.0.port().unwrap_or(6379))
    }

    /// The number of the database; 0 if none is named.
    pub fn database(&self) -> u16 {
        let path = self.0.path().trim_start_matches('/');
        path.parse().unwrap_or(0)
    }

    /// Whether it is on this machine or in a private network.
    pub fn is_nearby(&self) -> bool {
        is_nearby(&self.0)
    }

    pub fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://***", self.0.scheme())
    }
}

impl JsonSchema for RedisUrl {
    fn schema_name() -> Cow<'static, str> {
        "RedisUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Why a text is not the address of a Redis server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlFault {
    #[error("is not a URL: {0}; in a password / is written %2F, @ is %40 and : is %3A")]
    Syntax(url::ParseError),
    #[error("lacks the scheme; write redis:// or rediss:// before the host")]
    NoScheme,
    #[error("must begin with redis:// or rediss://")]
    Scheme,
    #[error(
        "must not have a query (?) or a fragment (#); in a password they are written %3F and %23"
    )]
    Query,
    #[error(
        "must end with the host, or with the number of a database; in a password / is written %2F"
    )]
    Database,
    #[error("has no host to connect to, or credentials that are not UTF-8")]
    Other,
}

impl From<UrlFault> for RedisUrlFault {
    fn from(fault: UrlFault) -> Self {
        match fault {
            UrlFault::Syntax(fault) => Self::Syntax(fault),
            UrlFault::NoScheme => Self::NoScheme,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_it_is_printed() {
        let url = RedisUrl::parse("rediss://user:hunter2@cache.example.com:6380/3").unwrap();
        assert_eq!(format!("{url:?} {url:#?}"), "rediss://*** rediss://***");
        assert_eq!(
            (url.is_tls(), url.database(), url.has_credentials()),
            (true, 3, true)
        );
    }

    #[test]
    fn host_and_port_can_be_named() {
        for (text, server) in [
            (
                "redis://user:hunter2@cache.example.com/3",
                "cache.example.com:6379",
            ),
            ("rediss://10.0.0.1:6380", "10.0.0.1:6380"),
            ("redis://[::1]", "[::1]:6379"),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap().server(), server);
        }
    }

    #[test]
    fn host_alone_is_enough() {
        for text in ["redis://cache", "redis://10.0.0.1/", "redis://[::1]:6379/0"] {
            let url = RedisUrl::parse(text).unwrap();
            assert_eq!(
                (url.is_tls(), url.database(), url.has_credentials()),
                (false, 0, false)
            );
        }
    }

    #[test]
    fn own_networks_are_nearby() {
        for (text, nearby) in [
            ("redis://127.0.0.1:6379", true),
            ("redis://10.1.2.3", true),
            ("redis://[::1]:6379", true),
            ("redis://redis", true),
            ("redis://8.8.8.8", false),
            ("rediss://cache.example.com", false),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap().is_nearby(), nearby, "{text}");
        }
    }

    #[test]
    fn what_is_no_redis_is_refused() {
        for (text, fault) in [
            ("http://cache:6379", RedisUrlFault::Scheme),
            ("cache:6379", RedisUrlFault::NoScheme),
            ("127.0.0.1:6379", RedisUrlFault::NoScheme),
            (
                "redis://:pa/ss@cache:6379",
                RedisUrlFault::Syntax(url::ParseError::EmptyHost),
            ),
            (
                "redis://user:p?ss@cache",
                RedisUrlFault::Syntax(url::ParseError::InvalidPort),
            ),
            ("unix:///run/redis.sock", RedisUrlFault::Scheme),
            ("redis://cache/?protocol=resp3", RedisUrlFault::Query),
            ("rediss://cache/#insecure", RedisUrlFault::Query),
            ("redis://cache/first", RedisUrlFault::Database),
            ("redis://cache/-1", RedisUrlFault::Database),
            ("redis://cache/0/1", RedisUrlFault::Database),
            ("redis://0.0.0.0:6379", RedisUrlFault::Other),
            ("redis:///0", RedisUrlFault::Other),
            ("redis://:%ff@cache", RedisUrlFault::Other),
            ("cache", RedisUrlFault::NoScheme),
        ] {
            assert_eq!(RedisUrl::parse(text), Err(fault), "{text}");
        }
    }
}
