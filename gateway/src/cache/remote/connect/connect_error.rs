//! Why there is no connection to Redis: a setting that cannot be used, or a server that does not
//! answer.

use std::path::PathBuf;

use redis::RedisError;

use super::socket::RedisTrustError;
use crate::cache::remote::failure::RedisFailure;

/// Configuration errors: these cannot work at any time.
#[derive(Debug, thiserror::Error)]
pub enum RedisConfigError {
    #[error(transparent)]
    Trust(#[from] RedisTrustError),
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot be used: {0}")]
    Settings(#[from] RedisError),
}

/// Why there is no connection, as text for the log.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {fault}")]
pub(in crate::cache::remote) struct ConnectError {
    /// Host and port.
    at: String,
    fault: ConnectFault,
}

#[derive(Debug, thiserror::Error)]
pub(in crate::cache::remote) enum ConnectFault {
    #[error("no answer in time")]
    Timeout,
    #[error("Redis refused the login: {0}")]
    Login(RedisError),
    #[error(transparent)]
    Other(RedisError),
}

impl ConnectError {
    pub(in crate::cache::remote) fn at(place: &impl ToString, fault: ConnectFault) -> Self {
        Self {
            at: place.to_string(),
            fault,
        }
    }
}

impl ConnectFault {
    pub(super) fn of(error: RedisError) -> Self {
        if error.kind() == redis::ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
        {
            Self::Login(error)
        } else if RedisFailure::of(&error) == RedisFailure::Timeout {
            Self::Timeout
        } else {
            Self::Other(error)
        }
    }
}
