//! One hold-off, and its cause.

use std::time::Duration;

/// One hold-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Hold<'a> {
    /// `None`: of the whole upstream.
    pub(in crate::upstream) method: Option<&'a str>,
    pub(in crate::upstream) cause: HoldCause,
    /// Until calls are sent again; `None` if the next one is.
    pub(in crate::upstream) left: Option<Duration>,
}

/// Why calls of a method, or all calls, are sent elsewhere for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldCause {
    /// It refuses the gateway's key.
    Key,
    /// Too many requests.
    RateLimited,
    /// Its credits are used up.
    Credits,
    /// It does not serve the method.
    Closed,
    /// It refused what others served.
    Refused,
    /// It breaks off large answers while they are passed on.
    BrokenOff,
}

impl HoldCause {
    pub const ALL: [Self; 6] = [
        Self::Key,
        Self::RateLimited,
        Self::Credits,
        Self::Closed,
        Self::Refused,
        Self::BrokenOff,
    ];

    /// The label in `/status`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Key => "key-refused",
            Self::RateLimited => "rate-limited",
            Self::Credits => "credits-exhausted",
            Self::Closed => "method-closed",
            Self::Refused => "refused-while-others-serve",
            Self::BrokenOff => "answers-broken-off",
        }
    }
}
