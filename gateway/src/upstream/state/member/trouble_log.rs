//! What is logged of an upstream that refuses calls: once where only the operator can help, and once in a
//! while what comes and goes.

use perijove_core::telemetry::seconds;
use tokio::time::Instant;

use super::Member;
use crate::solana::{FaultKind, Scope};
use crate::upstream::health::diagnosis::cure;
use crate::upstream::health::tracker::Health;
use crate::upstream::state::hold_off::{LONGEST_NAME, is_unknown};
use crate::upstream::state::pause::PauseBegun;

/// Used in place of a method for all of them.
pub(super) const ALL: &str = "*";

/// A method's name for the log. Clients choose it, so a long one is cut.
pub(super) fn shown(method: &str) -> &str {
    let end = method.char_indices().nth(LONGEST_NAME);
    end.and_then(|(end, _)| method.get(..end)).unwrap_or(method)
}

impl Member {
    /// A requested pause. Logged once in a while only: limits come and go by the second.
    pub(super) fn tell_rest(
        &self,
        scope: Scope,
        method: &str,
        kind: FaultKind,
        begun: PauseBegun,
        now: Instant,
    ) {
        let (upstream, fault) = (self.live.id(), kind.label());
        let (method, whole) = (shown(method), scope == Scope::Upstream);
        let pause_seconds = seconds(begun.pause);
        let subject = if whole { ALL } else { method };
        let news = begun.fresh
            && !is_unknown(method)
            && self.live.errors.lock().is_news("rests", subject, now);
        if news {
            tracing::info!(
                upstream,
                method,
                fault,
                whole,
                pause_seconds,
                "upstream backing off"
            );
        } else {
            tracing::debug!(
                upstream,
                method,
                fault,
                whole,
                pause_seconds,
                "upstream backing off"
            );
        }
    }

    /// Only the operator can fix it, so it is logged once: what is refused (without a method:
    /// everything), and what probably helps. An upstream whose probes fail as well has been logged
    /// already.
    pub(super) fn tell_refusal(
        &self,
        method: Option<&str>,
        kind: FaultKind,
        status: Option<u16>,
        now: Instant,
    ) {
        let (upstream, fault, cure) = (self.live.id(), kind.label(), cure(kind));
        let made_up = method.is_some_and(is_unknown);
        let method = method.map_or(ALL, shown);
        let known = self.live.health() == Health::Failing;
        let news = !made_up && !known && self.live.errors.lock().is_refused(method, now);
        let what = if method == ALL { "all calls" } else { method };
        let how = match status {
            Some(status) if status != 200 => format!("HTTP {status}"),
            _ => format!("the error {fault}"),
        };
        let of_key = matches!(kind, FaultKind::Unauthorized | FaultKind::Forbidden);
        let told = news && of_key && {
            let served = self.live.hold_off.lock().last_served();
            self.live.errors.lock().is_same_key_trouble(served, now)
        };
        let unfit = match kind {
            FaultKind::BehindTip => Some("is far behind the tip in its answers to"),
            kind => kind.is_timeout().then_some("is slower than others at"),
        };
        if let Some(unfit) = unfit.filter(|_| news) {
            tracing::warn!(
                upstream,
                method,
                cure,
                "{upstream} {unfit} {what} and is avoided for a while; {cure}"
            );
        } else if news && !told {
            self.live.look_soon.notify_one();
            tracing::warn!(
                upstream,
                method,
                fault,
                http_status = status,
                cure,
                "{upstream} refuses {what} with {how}; {cure}"
            );
        } else {
            tracing::debug!(
                upstream,
                method,
                fault,
                http_status = status,
                "{upstream} refuses {what} with {how}"
            );
        }
    }
}
