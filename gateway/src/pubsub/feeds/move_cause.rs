//! Why topics move from one socket to another.

use crate::pubsub::upstream_socket::messages::CloseReason;

/// Why a topic moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pubsub) enum MoveCause {
    /// Its socket was closed.
    Lost,
    /// Its socket fell silent.
    Silent,
    /// Its upstream is unhealthy, or too far behind.
    Unfit,
    /// A better upstream has recovered.
    Better,
    /// Its upstream is not in the configuration any more, or has another URL.
    Reloaded,
}

impl MoveCause {
    pub(in crate::pubsub) const ALL: [Self; 5] = [
        Self::Lost,
        Self::Silent,
        Self::Unfit,
        Self::Better,
        Self::Reloaded,
    ];

    pub(in crate::pubsub) fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Unfit => "unfit",
            Self::Better => "better",
            Self::Reloaded => "reloaded",
        }
    }

    pub(super) fn of(closed: &CloseReason) -> Self {
        match closed {
            CloseReason::Silent => Self::Silent,
            _ => Self::Lost,
        }
    }
}
