//! Why a request ends otherwise than with its answer.

use super::session::BodyFault;
use crate::dispatch::AttemptRecord;
use crate::error::Rejection;
use crate::pipeline::Unanswered;

/// The connection is unusable.
pub(super) struct ConnectionCut;

/// Why a request ends before its answer is written.
pub(super) enum RequestEnd {
    Refused(Rejection),
    /// The same, in the form of Jupiter's API, after these attempts.
    RefusedByApi(Rejection, Vec<AttemptRecord>),
    /// The client disconnected.
    Gone,
    Cut,
}

impl RequestEnd {
    /// The same for callers of Jupiter's API.
    pub(super) fn by_api(self) -> Self {
        match self {
            Self::Refused(rejection) => Self::RefusedByApi(rejection, Vec::new()),
            other => other,
        }
    }
}

impl From<Rejection> for RequestEnd {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<Unanswered> for RequestEnd {
    fn from(refused: Unanswered) -> Self {
        Self::RefusedByApi(refused.rejection, refused.tried)
    }
}

impl From<BodyFault> for RequestEnd {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Rejected(rejection) => Self::Refused(rejection),
            BodyFault::Gone => Self::Gone,
        }
    }
}
