//! Why the socket of a client ends, and what the client is told.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a socket was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketEnd {
    /// The client closed it, or disconnected.
    Client,
    /// The gateway stops.
    Leaving,
    /// The client did not accept what waited for it.
    Slow,
    /// The client sent nothing for long, not even answers to pings.
    Silent,
    /// A message was larger than allowed.
    TooLarge,
    /// The client sent invalid frames.
    Malformed,
    /// A text message that is not UTF-8.
    NotText,
    /// A compressed message that cannot be decompressed.
    Corrupt,
    /// The client's key was revoked.
    Unauthorised,
    /// The client's plan is not for its address or page any more.
    NotFromHere,
}

impl SocketEnd {
    pub const ALL: [Self; 10] = [
        Self::Client,
        Self::Leaving,
        Self::Slow,
        Self::Silent,
        Self::TooLarge,
        Self::Malformed,
        Self::NotText,
        Self::Corrupt,
        Self::Unauthorised,
        Self::NotFromHere,
    ];

    /// The word in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Leaving => "leaving",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::NotText => "not_text",
            Self::Corrupt => "corrupt",
            Self::Unauthorised => "unauthorised",
            Self::NotFromHere => "not_from_here",
        }
    }

    /// The close frame; `None` if the client has sent its own.
    pub(super) fn code(self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::Client => return None,
            // After any code but 1000, clients connect and subscribe again.
            Self::Leaving => (CloseCode::Restart, "the gateway restarts; connect again"),
            Self::Slow => (CloseCode::Again, "too much waited to be read"),
            Self::Silent => (CloseCode::Away, "pings were not answered"),
            Self::TooLarge => (CloseCode::Size, "the message is too large"),
            Self::Malformed => (CloseCode::Protocol, "not well-formed"),
            Self::NotText => (CloseCode::Invalid, "a text that is not UTF-8"),
            Self::Corrupt => (CloseCode::Invalid, "a corrupt compressed message"),
            Self::Unauthorised => (CloseCode::Policy, "a valid API key is required"),
            Self::NotFromHere => {
                let reason = "your plan does not allow calls from here";
                (CloseCode::Policy, reason)
            }
        })
    }
}
