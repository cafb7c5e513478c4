//! Faults of the connection, below HTTP, and how far the request had got.

use crate::framing::BadBody;
use crate::solana::FaultKind;
use crate::upstream::transport::bad_response::BadResponse;

/// No usable answer, because of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", kind.label())]
pub struct TransportFault {
    pub kind: FaultKind,
    /// Whether the upstream may have seen any of the request.
    pub bytes_sent: bool,
}

impl TransportFault {
    pub(in crate::upstream) fn before(kind: FaultKind) -> Self {
        Self {
            kind,
            bytes_sent: false,
        }
    }

    pub(in crate::upstream) fn after(kind: FaultKind) -> Self {
        Self {
            kind,
            bytes_sent: true,
        }
    }
}

impl From<BadResponse> for TransportFault {
    fn from(bad: BadResponse) -> Self {
        Self::after(match bad {
            BadResponse::Body(BadBody::Truncated) => FaultKind::Truncated,
            BadResponse::Tls => FaultKind::SpeaksTls,
            _ => FaultKind::BadHttp,
        })
    }
}
