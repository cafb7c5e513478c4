//! What follows from a fault: where to retry, and what it costs the upstream. Whose fault it was,
//! whether to retry and the penalty are three independent facts.

use std::time::Duration;

use super::{Blame, Capability, Class, FaultKind, Idempotency};

/// Where a call may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nowhere: this is the answer.
    Final,
    /// On the next candidates, as long as attempts are left.
    Elsewhere,
    /// On one other upstream, then it is the answer.
    ElsewhereOnce,
    /// The same, but only if the retry budget pays for it: most probably the answer is final.
    SecondOpinion,
    /// On another or the same upstream, about a slot later.
    ElsewhereLater,
    /// Only on an upstream with this capability; without one it is the answer.
    Capable(Capability),
    /// Only on an upstream with more history, which dispatching looks for after the first upstreams
    /// have answered.
    Deeper,
}

/// What part of an upstream is held off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This method.
    Method,
    /// All of it.
    Upstream,
}

/// What a fault costs the upstream it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// Nothing: the upstream did its work.
    None,
    /// Counts for the breaker.
    Failure,
    /// It reports itself as behind.
    Lagging {
        /// By how much, if it said.
        slots: Option<u64>,
    },
    /// It asks to be held off for a while. Never counts for the breaker.
    HoldOff {
        /// Which part of it.
        scope: Scope,
        /// The minimum time it named.
        at_least: Option<Duration>,
        /// Its credits are used up: a matter of hours, not seconds.
        credits: bool,
    },
    /// It refuses the gateway's key. Never counts for the breaker, and is no rate limit: retrying
    /// later would not help a client.
    KeyRefused {
        /// For which part of it.
        scope: Scope,
        /// How long it is held off at least.
        at_least: Duration,
    },
    /// It refused what others may serve. If one does, that counts against it for this method; if
    /// all refuse, the call is at fault.
    Refusal,
    /// It does not serve this method.
    CloseMethod,
    /// It lacks a capability it was assumed to have.
    Lacks(Capability),
}

impl Penalty {
    /// The same for a call of this class that reached the upstream. Failed writes say nothing about
    /// reads: a failure counts against the method, if another upstream serves it.
    #[must_use]
    pub fn of(self, class: &Class) -> Self {
        match self {
            Self::Failure if class.profile().idempotency != Idempotency::Read => Self::Refusal,
            penalty => penalty,
        }
    }
}

/// The verdict on one failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What happened.
    pub kind: FaultKind,
    /// Whose fault it was.
    pub blame: Blame,
    /// Where to retry.
    pub retry: Retry,
    /// What it costs the upstream.
    pub penalty: Penalty,
}

impl Verdict {
    /// Judges a fault of the connection. `bytes_sent` says whether the upstream may have seen any
    /// of the request: from then on only a read or a signed transaction may be repeated.
    pub fn transport(kind: FaultKind, class: &Class, bytes_sent: bool) -> Self {
        let retry = if class.profile().idempotency.is_repeatable() || !bytes_sent {
            Retry::Elsewhere
        } else {
            Retry::Final
        };
        // Too many calls of the gateway, or too little time of the caller, are no failure of the
        // upstream.
        let penalty = match kind {
            FaultKind::Saturated | FaultKind::NoTime | FaultKind::NoDescriptors => Penalty::None,
            // The duration of a scan says nothing about cheap calls.
            _ if class.heavy && kind.is_timeout() && bytes_sent => Penalty::Refusal,
            _ if bytes_sent && !kind.is_of_connecting() => Penalty::Failure.of(class),
            _ => Penalty::Failure,
        };
        Self {
            kind,
            blame: Blame::Upstream,
            retry,
            penalty,
        }
    }

    /// The answer of an upstream of another cluster: it means nothing here, whatever it says. A
    /// transaction that it accepted was not executed on this cluster.
    pub fn stranger(class: &Class) -> Self {
        Self {
            kind: FaultKind::WrongCluster,
            blame: Blame::Upstream,
            retry: if class.profile().idempotency.is_repeatable() {
                Retry::Elsewhere
            } else {
                Retry::Final
            },
            penalty: Penalty::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, Penalty, Retry, Verdict};
    use crate::solana::classify;

    #[test]
    fn what_is_done_twice_is_repeated_only_when_no_byte_was_sent() {
        for method in ["requestAirdrop", "sendBundle"] {
            let class = classify(method, Some(b"[\"AAAA\"]"));
            let refused = Verdict::transport(FaultKind::ConnectRefused, &class, false);
            assert_eq!(refused.retry, Retry::Elsewhere, "{method}");
            let reset = Verdict::transport(FaultKind::Reset, &class, true);
            assert_eq!(reset.retry, Retry::Final, "{method}");
        }
    }

    #[test]
    fn a_read_and_a_signed_transaction_are_repeated_whatever_was_sent() {
        for method in ["getBalance", "sendTransaction"] {
            let class = classify(method, Some(b"[\"k\"]"));
            for kind in [
                FaultKind::Reset,
                FaultKind::FirstByteTimeout,
                FaultKind::Truncated,
            ] {
                let verdict = Verdict::transport(kind, &class, true);
                let penalty = Penalty::Failure.of(&class);
                assert_eq!(
                    (verdict.retry, verdict.penalty),
                    (Retry::Elsewhere, penalty),
                    "{method}"
                );
            }
        }
    }

    #[test]
    fn what_becomes_of_writes_says_nothing_about_reads() {
        for (method, penalty) in [
            ("getBalance", Penalty::Failure),
            ("sendTransaction", Penalty::Refusal),
            ("requestAirdrop", Penalty::Refusal),
            ("sendBundle", Penalty::Refusal),
        ] {
            let class = classify(method, None);
            let hangs = Verdict::transport(FaultKind::FirstByteTimeout, &class, true);
            assert_eq!(hangs.penalty, penalty, "{method}");
            let down = Verdict::transport(FaultKind::ConnectRefused, &class, false);
            assert_eq!(down.penalty, Penalty::Failure, "{method}");
        }
    }

    #[test]
    fn a_scan_that_timed_out_goes_on_and_is_held_against_scans_only() {
        let class = classify("getProgramAccounts", Some(b"[\"k\"]"));
        let verdict = Verdict::transport(FaultKind::TotalTimeout, &class, true);
        assert_eq!(verdict.retry, Retry::Elsewhere);
        assert_eq!(verdict.penalty, Penalty::Refusal, "cheap calls go on");
    }
}
