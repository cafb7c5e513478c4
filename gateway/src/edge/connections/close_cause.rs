//! Why the gateway closes a connection.

/// Why the gateway closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::edge) enum CloseCause {
    /// To make room for another one.
    Crowded = 1,
    /// Its client accepted nothing of what waited for it.
    Stalled = 2,
    /// Too many bytes waited for slow clients in all, and the most, for longest, here.
    Unsent = 3,
    /// The gateway stopped.
    Stopping = 4,
}

impl CloseCause {
    pub(in crate::edge) fn label(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Stalled => "stalled",
            Self::Unsent => "unsent",
            Self::Stopping => "stopping",
        }
    }
}
