//! What speaks against an upstream whose probes are good: its hold-offs, its last errors, and what
//! helps.

use std::time::Duration;

use perijove_core::BreakerState;
use serde::Serialize;
use tokio::time::Instant;

use crate::solana::FaultKind;
use crate::upstream::health::diagnosis::{Diagnosis, RAISE_BUDGET, cure};
use crate::upstream::state::concurrency::ConcurrencyStatus;
use crate::upstream::state::hold::{Hold, HoldCause};
use crate::upstream::state::hold_off::is_unknown;
use crate::upstream::state::status::hold_status::{HoldStatus, and_more};
use crate::upstream::{EndpointState, Health};

/// An error of an upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorStatus {
    pub method: String,
    pub fault: &'static str,
    pub http_status: Option<u16>,
    pub seconds_ago: u64,
}

/// The hold-offs of an upstream, and its last errors.
pub(super) struct HoldsAndErrors {
    pub(super) holds: Vec<HoldStatus>,
    pub(super) last_error: Option<ErrorStatus>,
    last_kind: Option<FaultKind>,
    /// The cause of the first of `holds`.
    hold: Option<HoldCause>,
    pub(super) resting: Option<Duration>,
    pub(super) key_refused: bool,
    pub(super) closed_methods: Vec<String>,
}

/// What speaks against an upstream whose probes are good.
pub(super) struct UnfitReason {
    pub(super) cause: String,
    pub(super) cure: &'static str,
}

impl HoldsAndErrors {
    pub(super) fn of(live: &EndpointState, now: Instant) -> Self {
        let hold_off = live.hold_off.lock();
        let errors = live.errors.lock();
        // Refusing a method that a client has made up says nothing about the upstream.
        let made_up = |hold: &Hold<'_>| {
            hold.cause == HoldCause::Closed && hold.method.is_some_and(is_unknown)
        };
        let mut holds = hold_off.holds(now);
        holds.retain(|hold| !made_up(hold));
        Self {
            holds: holds
                .iter()
                .map(|hold| HoldStatus::of(hold, &errors, now))
                .collect(),
            last_kind: errors.last().map(|(_, error)| error.kind),
            hold: holds.first().map(|hold| hold.cause),
            last_error: errors.last().map(|(method, error)| ErrorStatus {
                method: method.to_owned(),
                fault: error.kind.label(),
                http_status: error.status,
                seconds_ago: now.saturating_duration_since(error.at).as_secs(),
            }),
            resting: hold_off.resting(now),
            key_refused: hold_off.refuses_key(now),
            closed_methods: hold_off.closed_methods(now),
        }
    }

    /// The state of an otherwise healthy upstream.
    pub(super) fn state(&self, saturated: bool, spent: bool) -> String {
        match self.holds.first() {
            Some(hold) => hold.summary(self.others()),
            None if spent => "budget spent".to_owned(),
            None if saturated => "saturated".to_owned(),
            None => Health::Healthy.label().to_owned(),
        }
    }

    /// How many methods are held for the same reason as the one that is named.
    fn others(&self) -> usize {
        let first = self.holds.first();
        let alike = |hold: &&HoldStatus| {
            first.is_some_and(|first| {
                first.method.is_some() && hold.method.is_some() && first.cause == hold.cause
            })
        };
        self.holds.iter().skip(1).filter(alike).count()
    }

    /// Its last error, and what helps against that.
    fn last(&self) -> Option<UnfitReason> {
        let (error, kind) = (self.last_error.as_ref()?, self.last_kind?);
        let diagnosis = Diagnosis::of(kind, error.http_status).on(&error.method);
        Some(UnfitReason {
            cure: diagnosis.cure(),
            cause: diagnosis.to_string(),
        })
    }

    /// Why its breaker does not let calls through.
    fn broken(&self) -> UnfitReason {
        let UnfitReason { cause, cure } = self.last().unwrap_or_else(|| UnfitReason {
            cause: "not recorded".to_owned(),
            cure: "wait for its trial calls",
        });
        UnfitReason {
            cause: format!("too many calls failed; the last error was {cause}"),
            cure,
        }
    }

    /// Why calls are kept from it for a while.
    fn held(&self) -> Option<UnfitReason> {
        let (hold, cause) = (self.holds.first()?, self.hold?);
        let what = hold.method.as_deref().unwrap_or("all calls");
        let status = hold.http_status.filter(|status| *status != 200);
        let with = status.map_or_else(String::new, |status| format!(" with HTTP {status}"));
        let (says, cure) = match cause {
            HoldCause::Key => (
                "refuses the gateway's key for",
                cure(FaultKind::Unauthorized),
            ),
            HoldCause::RateLimited => ("limits the rate of", cure(FaultKind::RateLimited)),
            HoldCause::Credits => {
                let cure = cure(FaultKind::CreditsExhausted);
                ("has no credits left for", cure)
            }
            HoldCause::Closed => ("does not serve", cure(FaultKind::MethodDisabled)),
            HoldCause::Refused if hold.slow => (
                "is slower than others at",
                cure(FaultKind::FirstByteTimeout),
            ),
            HoldCause::BrokenOff => ("breaks off large answers to", cure(FaultKind::Truncated)),
            HoldCause::Refused => {
                let last = self.last();
                let cure = last.map_or("see last_error", |last| last.cure);
                ("refuses what others serve:", cure)
            }
        };
        let more = and_more(self.others());
        let cause = format!("it {says} {what}{more}{with}");
        Some(UnfitReason { cause, cure })
    }

    /// What keeps calls from an upstream whose probes are good.
    pub(super) fn reason(
        &self,
        breaker: BreakerState,
        saturated: Option<UnfitReason>,
        spent: bool,
    ) -> Option<UnfitReason> {
        if breaker != BreakerState::Closed {
            return Some(self.broken());
        }
        let spent = || {
            spent.then(|| UnfitReason {
                cause: "its `budget` is spent for now".to_owned(),
                cure: RAISE_BUDGET,
            })
        };
        self.held().or_else(spent).or(saturated)
    }
}

/// Why calls wait for it.
pub(super) fn saturation(concurrency: Option<ConcurrencyStatus>) -> UnfitReason {
    let limited = concurrency.filter(|one| one.limit < one.ceiling);
    limited.map_or_else(
        || UnfitReason {
            cause: "calls wait because all connections to it are in use".to_owned(),
            cure: cure(FaultKind::Saturated),
        },
        |one| UnfitReason {
            cause: format!(
                "calls wait because it serves no more than {} well at once",
                one.limit
            ),
            cure: "add an upstream, or give it more resources",
        },
    )
}
