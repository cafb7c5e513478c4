//! Why no socket to an upstream could be opened, for people.

use std::time::Duration;

use crate::solana::FaultKind;
use crate::upstream;

const NO_WEBSOCKET: &str =
    "what answers there must speak WebSocket: name the right URL in `ws_url`";
const NOTHING_THERE: &str = "does it serve WebSocket there? Else name the right URL in `ws_url`; a \
                             firewall may let only its RPC port through";

/// No socket could be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DialError {
    /// The upstream asks for a pause of this long.
    pub(crate) retry_after: Option<Duration>,
    /// Scheme, host and port, without what may be a key.
    pub(crate) address: String,
    pub(crate) cause: String,
    /// What probably helps.
    pub(crate) cure: &'static str,
}

impl DialError {
    /// There was no connection.
    pub(in crate::pubsub) fn connection(fault: FaultKind) -> Self {
        let cure = match fault {
            FaultKind::ConnectRefused | FaultKind::ConnectTimeout | FaultKind::ConnectFailed => {
                NOTHING_THERE
            }
            FaultKind::Dns => {
                "is the host name in `ws_url` right, and does the gateway's DNS server answer?"
            }
            FaultKind::Tls | FaultKind::NotTls => {
                "does its port speak TLS at all? Else write ws:// in `ws_url`"
            }
            other => upstream::cure(other),
        };
        Self::new(fault.label().to_owned(), cure)
    }

    /// The handshake was refused with an HTTP status.
    pub(super) fn status(status: u16, retry_after: Option<Duration>) -> Self {
        let cure = match status {
            401..=403 => "is the key valid, and does its plan include subscriptions?",
            429 => "raise the provider's limit of sockets, or add an upstream",
            500.. => "check the upstream's own log",
            _ => NO_WEBSOCKET,
        };
        Self {
            retry_after,
            ..Self::new(format!("HTTP {status}"), cure)
        }
    }

    /// The handshake was answered with something else, or not at all.
    pub(super) fn handshake() -> Self {
        Self::new("handshake-failed".to_owned(), NO_WEBSOCKET)
    }

    /// There is no URL to try.
    pub(super) fn no_url() -> Self {
        let cure = "name where it serves subscriptions in `ws_url`";
        Self::new("no-url".to_owned(), cure)
    }

    /// The same, at this address.
    pub(super) fn at(mut self, address: String) -> Self {
        self.address = address;
        self
    }

    fn new(cause: String, cure: &'static str) -> Self {
        Self {
            retry_after: None,
            address: String::new(),
            cause,
            cure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_has_a_word_and_a_cure() {
        for (error, cause, cure) in [
            (
                DialError::connection(FaultKind::ConnectRefused),
                "connect-refused",
                "`ws_url`",
            ),
            (DialError::connection(FaultKind::Dns), "dns", "host name"),
            (DialError::connection(FaultKind::Tls), "tls", "ws://"),
            (
                DialError::connection(FaultKind::CertificateExpired),
                "certificate-expired",
                "renew",
            ),
            (DialError::status(403, None), "HTTP 403", "key"),
            (DialError::status(429, None), "HTTP 429", "limit"),
            (DialError::status(405, None), "HTTP 405", "speak WebSocket"),
            (DialError::status(502, None), "HTTP 502", "log"),
            (DialError::handshake(), "handshake-failed", "`ws_url`"),
        ] {
            assert_eq!(error.cause, cause);
            assert!(error.cure.contains(cure), "{error:?}");
        }
    }
}
