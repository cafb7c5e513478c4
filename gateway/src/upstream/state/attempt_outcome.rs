//! How an attempt ended, and what that says about the load of its upstream.

use std::time::Duration;

use perijove_core::Slot;

use crate::limit::LoadSample;
use crate::solana::{Blame, Class, FaultKind, Verdict};

/// HTTP's answer of a server that has too much to do.
const UNAVAILABLE: u16 = 503;

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug)]
pub enum AttemptOutcome<'a> {
    /// An answer to deliver.
    Good {
        class: &'a Class,
        method: &'a str,
        latency: Duration,
        /// The slot the answer was read at, from its context, or the slot that it consists of. It
        /// counts at the commitment of the class.
        slot: Option<Slot>,
    },
    /// Anything else, judged.
    Fault {
        class: &'a Class,
        method: &'a str,
        verdict: &'a Verdict,
        /// The HTTP status of the answer, if one arrived.
        status: Option<u16>,
    },
}

impl AttemptOutcome<'_> {
    /// What it says about the load of its upstream. Scans say nothing: their time depends on what
    /// they find. Nor does "too many requests": it is about calls per second, and holds the upstream
    /// off.
    pub(in crate::upstream) fn load(&self) -> Option<LoadSample> {
        match *self {
            Self::Good { class, latency, .. } => {
                let (heavy, method) = (class.heavy, class.method);
                (!heavy).then_some(LoadSample::Answered { method, latency })
            }
            Self::Fault {
                class,
                verdict,
                status,
                ..
            } => (!class.heavy && is_overload(verdict, status)).then_some(LoadSample::Overloaded),
        }
    }
}

fn is_overload(verdict: &Verdict, status: Option<u16>) -> bool {
    let refused = match verdict.kind {
        FaultKind::FirstByteTimeout | FaultKind::TotalTimeout | FaultKind::Stalled => true,
        FaultKind::ServerError => status == Some(UNAVAILABLE),
        _ => false,
    };
    refused && verdict.blame == Blame::Upstream
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solana::{Method, Penalty, Retry};

    #[test]
    fn only_overload_and_answers_of_ordinary_calls_tell_of_the_load() {
        let class = Class::foreign(None);
        let fault = |kind, blame, status| {
            let verdict = Verdict {
                kind,
                blame,
                retry: Retry::Elsewhere,
                penalty: Penalty::None,
            };
            let outcome = AttemptOutcome::Fault {
                class: &class,
                method: "sandboxEcho",
                verdict: &verdict,
                status,
            };
            outcome.load()
        };
        let overloaded = Some(LoadSample::Overloaded);
        let upstream = Blame::Upstream;
        for (kind, blame, status, expected) in [
            (FaultKind::ServerError, upstream, Some(503), overloaded),
            (FaultKind::ServerError, upstream, Some(500), None),
            (FaultKind::FirstByteTimeout, upstream, None, overloaded),
            (FaultKind::TotalTimeout, upstream, None, overloaded),
            (FaultKind::TotalTimeout, Blame::Client, None, None),
            (FaultKind::RateLimited, upstream, Some(429), None),
            (FaultKind::NodeBehind, upstream, Some(200), None),
            (FaultKind::ConnectRefused, upstream, None, None),
            (FaultKind::InvalidParams, Blame::Client, Some(200), None),
        ] {
            assert_eq!(fault(kind, blame, status), expected, "{kind:?} {status:?}");
        }
        let answered = |heavy| {
            let class = Class { heavy, ..class };
            let outcome = AttemptOutcome::Good {
                class: &class,
                method: "getSlot",
                latency: Duration::from_millis(5),
                slot: None,
            };
            outcome.load()
        };
        assert_eq!(answered(true), None);
        assert_eq!(
            answered(false),
            Some(LoadSample::Answered {
                method: Method::Other,
                latency: Duration::from_millis(5),
            })
        );
    }
}
