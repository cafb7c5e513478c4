//! Errors of writing to Redis.

use crate::sink::database::DatabaseError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// Redis is unavailable, busy or full.
    #[error("Redis error: {0}")]
    Redis(#[from] redis::RedisError),
    /// It took longer than a batch may take.
    #[error("Redis timed out")]
    Timeout,
    /// What Redis lacks could not be read.
    #[error(transparent)]
    Store(#[from] DatabaseError),
}

impl MarketError {
    /// The label in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Redis(_) => "redis",
            Self::Timeout => "timeout",
            Self::Store(_) => "store",
        }
    }
}
