//! The two numbers of a trace context. Neither is ever zero, which W3C keeps for "none".

use std::fmt::{self, Display, Formatter};

/// Names a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// Names a span of a trace: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

impl TraceId {
    /// `None` for zero.
    pub fn new(id: u128) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    pub fn random() -> Self {
        Self(fastrand::u128(1..))
    }

    pub fn get(self) -> u128 {
        self.0
    }
}

impl SpanId {
    /// `None` for zero.
    pub fn new(id: u64) -> Option<Self> {
        (id != 0).then_some(Self(id))
    }

    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }

    pub fn get(self) -> u64 {
        self.0
    }
}

impl Display for TraceId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Display for SpanId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
