//! One hold-off as `/status` shows it.

use serde::Serialize;
use tokio::time::Instant;

use crate::solana::FaultKind;
use crate::upstream::state::errors::RecentErrors;
use crate::upstream::state::hold::{Hold, HoldCause};

/// A hold-off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoldStatus {
    /// `None`: all of them.
    pub method: Option<String>,
    pub cause: &'static str,
    /// Its last error for such a call.
    pub fault: Option<&'static str>,
    pub http_status: Option<u16>,
    /// Since when it has been answering like that.
    pub since_seconds: Option<u64>,
    /// Until a call is sent again; `None` if the next one is.
    pub seconds_left: Option<u64>,
    /// It does not refuse the method: others are faster.
    #[serde(skip)]
    pub(super) slow: bool,
    /// It breaks off its answers.
    #[serde(skip)]
    broken_off: bool,
    /// Nor does it here: its answers are old.
    #[serde(skip)]
    late: bool,
}

impl HoldStatus {
    pub(super) fn of(hold: &Hold<'_>, errors: &RecentErrors, now: Instant) -> Self {
        let error = match hold.method {
            Some(method) => errors.of(method),
            None => errors.last().map(|(_, error)| error),
        };
        let since = error.map(|error| now.saturating_duration_since(error.since));
        Self {
            method: hold.method.map(str::to_owned),
            cause: hold.cause.label(),
            fault: error.map(|error| error.kind.label()),
            http_status: error.and_then(|error| error.status),
            since_seconds: since.map(|since| since.as_secs()),
            seconds_left: hold.left.map(|left| left.as_secs()),
            slow: hold.cause == HoldCause::Refused
                && error.is_none_or(|error| error.kind.is_timeout()),
            broken_off: hold.cause == HoldCause::BrokenOff,
            late: hold.cause == HoldCause::Refused
                && error.is_some_and(|error| error.kind == FaultKind::BehindTip),
        }
    }

    /// In a few words; as many other methods are held for the same reason.
    pub(super) fn summary(&self, others: usize) -> String {
        let more = and_more(others);
        let status = self.http_status.filter(|status| *status != 200);
        let detail = status.map_or_else(String::new, |status| format!(" (HTTP {status})"));
        match &self.method {
            None => format!("{}{detail}", self.cause),
            Some(method) if self.slow => format!("slow at {method}{more}"),
            Some(method) if self.broken_off => format!("breaks off {method}{more}"),
            Some(method) if self.late => format!("behind at {method}{more}"),
            Some(method) => format!("refuses {method}{more}{detail}"),
        }
    }
}

/// How many methods stand behind the one that is named.
pub(super) fn and_more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" and {others} more"),
    }
}
