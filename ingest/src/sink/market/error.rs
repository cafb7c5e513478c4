//! Errors of writing to Redis.

use strum::{IntoStaticStr, VariantNames};

use crate::sink::database::DatabaseError;

/// What went wrong.
#[derive(Debug, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
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
    /// Every label that there is.
    pub const LABELS: &'static [&'static str] = Self::VARIANTS;

    /// The label in metrics.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}
