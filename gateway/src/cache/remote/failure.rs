//! Why a lookup or a write failed.

use redis::{ErrorKind, RedisError};

use crate::cache::Lookup;

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisOperation {
    Lookup,
    /// A lookup of a price.
    Price,
    Write,
    Claim,
    /// A lease of requests from a shared budget.
    Lease,
}

impl RedisOperation {
    pub(super) const ALL: [Self; 5] = [
        Self::Lookup,
        Self::Price,
        Self::Write,
        Self::Claim,
        Self::Lease,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Price => "price",
            Self::Write => "write",
            Self::Claim => "claim",
            Self::Lease => "lease",
        }
    }
}

/// Why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisFailure {
    /// Not connected.
    Down,
    /// The limit of concurrent lookups was reached.
    Busy,
    BreakerOpen,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Io,
    /// What came was not the protocol, or not what was asked for.
    Protocol,
    /// The server refused: it is loading, denies access, or has the key on another node.
    Refused,
    /// The server is out of memory.
    Full,
    /// A value that is not an entry; see [`perijove_core::redis::Unreadable`].
    Unreadable,
}

impl RedisFailure {
    pub(super) const ALL: [Self; 9] = [
        Self::Down,
        Self::Busy,
        Self::BreakerOpen,
        Self::Timeout,
        Self::Io,
        Self::Protocol,
        Self::Refused,
        Self::Full,
        Self::Unreadable,
    ];

    /// Whether Redis was asked at all.
    pub(super) const fn was_sent(self) -> bool {
        !matches!(self, Self::Down | Self::Busy | Self::BreakerOpen)
    }

    /// The word in metrics and logs.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Busy => "busy",
            Self::BreakerOpen => "breaker_open",
            Self::Timeout => "timeout",
            Self::Io => "io",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Full => "oom",
            Self::Unreadable => "decode",
        }
    }

    /// Whether the server has answered, if only with a refusal.
    pub(super) const fn is_answer(self) -> bool {
        matches!(self, Self::Refused | Self::Full | Self::Unreadable)
    }

    /// Classifies an error of the client library.
    pub(super) fn of(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        match error.code() {
            Some("OOM") => return Self::Full,
            // A value of another type is stored under the key, such as a list or a hash.
            Some("WRONGTYPE") => return Self::Unreadable,
            _ => {}
        }
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Protocol,
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Io,
            _ => Self::Refused,
        }
    }
}

impl From<RedisFailure> for Lookup {
    /// The lookup result that callers see.
    fn from(failure: RedisFailure) -> Self {
        if failure == RedisFailure::Timeout {
            Self::Slow
        } else {
            Self::Error
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::{RedisError, Value, parse_redis_value};

    use super::*;

    fn answered(text: &str) -> RedisError {
        match parse_redis_value(text.as_bytes()) {
            Ok(Value::ServerError(error)) => error.into(),
            Ok(other) => panic!("no error: {other:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn errors_are_told_apart() {
        for (error, failure) in [
            (answered("-OOM command not allowed\r\n"), RedisFailure::Full),
            (
                answered("-WRONGTYPE Operation against\r\n"),
                RedisFailure::Unreadable,
            ),
            (
                answered("-READONLY You can't write\r\n"),
                RedisFailure::Refused,
            ),
            (
                answered("-LOADING Redis is loading\r\n"),
                RedisFailure::Refused,
            ),
            (answered("-NOPERM this user\r\n"), RedisFailure::Refused),
            (
                answered("-CLUSTERDOWN Hash slot not served\r\n"),
                RedisFailure::Refused,
            ),
            (
                answered("HTTP/1.1 400 Bad Request\r\n"),
                RedisFailure::Protocol,
            ),
            (
                io::Error::from(io::ErrorKind::TimedOut).into(),
                RedisFailure::Timeout,
            ),
            (
                io::Error::from(io::ErrorKind::ConnectionReset).into(),
                RedisFailure::Io,
            ),
            (
                io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                RedisFailure::Io,
            ),
        ] {
            assert_eq!(RedisFailure::of(&error), failure, "{error}");
        }
    }

    #[test]
    fn every_failure_has_a_word_of_its_own() {
        let mut words = RedisFailure::ALL.map(RedisFailure::label).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), RedisFailure::ALL.len());
    }
}
