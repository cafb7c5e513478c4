//! The state of a circuit breaker, as metrics and status show it.

/// Whether calls pass a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All calls pass.
    Closed,
    /// A few trials pass.
    HalfOpen,
    /// None pass.
    Open,
}

impl BreakerState {
    /// Its word in `/status`, logs and labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }

    /// Value of a gauge: 0 closed, 1 half-open, 2 open.
    pub const fn number(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}
