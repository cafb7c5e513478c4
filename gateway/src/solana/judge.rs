//! Judges a reply: may it be delivered, and if not, what does it mean? Decides the precedence of
//! status, headers and body; [`codes`] knows the meaning of each error code, [`wording`] that of
//! providers' texts.

mod agave;
mod codes;
mod wording;

use std::time::Duration;

pub use codes::is_the_calls_own;

use super::shape::is_possible;
use super::{Blame, Class, FaultKind, Idempotency, Penalty, Retry, Scope, Verdict};
use crate::jsonrpc::{Answer, ErrorObject, MalformedAnswer};

/// How long an upstream that refused the key is held off, if it names no time of its own.
const KEY_REST: Duration = Duration::from_secs(5);

/// Largest `x-ratelimit-reset` that is read as a number of seconds to wait; greater ones are points
/// in time.
const LONGEST_WAIT: u64 = 86_400;

/// What the headers of a reply say besides its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyHints {
    /// `retry-after`, if it was a number of seconds.
    pub retry_after: Option<Duration>,
    /// `retry-after`, if it was a date: seconds since the Unix epoch.
    pub retry_at_unix: Option<u64>,
    /// `x-ratelimit-reset` in seconds since the Unix epoch.
    pub ratelimit_reset_unix: Option<u64>,
    /// `x-ratelimit-method-limit`; 0 means that the method is unavailable.
    pub method_limit: Option<i64>,
    /// `cf-mitigated: challenge`.
    pub challenge: bool,
    /// The content type is JSON.
    pub content_type_json: bool,
    /// The content type, if it is one of the usual ones.
    pub content_type: Option<&'static str>,
}

/// Judges a reply. `None` means: deliver it. `now_unix` is in seconds.
///
/// An answer to this very request counts with nearly every status: some servers send JSON-RPC
/// errors with a 400, a 404 or a 500. A refused key or an unavailable method outranks the body, and
/// a rate limit counts with every status and shape. Only the result of a call that must not be executed
/// twice is one behind any status: it was executed. A signed transaction goes on to the next
/// upstream after everything but a verdict that every node would give; a call that would be
/// executed twice keeps a retry only if the reply shows that nothing was done.
pub fn judge(
    status: u16,
    hints: &ReplyHints,
    answer: Result<&Answer, &MalformedAnswer>,
    class: &Class,
    now_unix: u64,
) -> Option<Verdict> {
    let error = match answer {
        Ok(answer) => match answer.result() {
            Some(result)
                if (carries_answers(status) || is_not_to_be_done_twice(class))
                    && is_possible(class.method, result) =>
            {
                return None;
            }
            _ => answer.error(),
        },
        Err(_) => None,
    };
    let reply = ErrorReply {
        status,
        hints,
        error,
        malformed: answer.err(),
        class,
        now_unix,
    };
    let mut verdict = reply.verdict();
    if !is_known_to_be_meant(&verdict, answer.ok()) {
        verdict = Verdict::transport(FaultKind::WrongId, class, true);
    }
    verdict.penalty = verdict.penalty.of(class);
    match class.profile().idempotency {
        Idempotency::Read => {}
        Idempotency::WriteBySignature => {
            verdict.retry = match verdict.retry {
                Retry::ElsewhereOnce => Retry::Elsewhere,
                Retry::SecondOpinion => Retry::Final,
                retry => retry,
            };
        }
        Idempotency::WriteOnce | Idempotency::Unknown => {
            if !verdict.kind.is_refusal() {
                verdict.retry = Retry::Final;
            }
        }
    }
    Some(verdict)
}

/// Whether an answer may come with this status. Refusals of the key, for lack of credits or for the
/// rate count, whatever the body is.
pub const fn carries_answers(status: u16) -> bool {
    matches!(status, 200..300 | 400..600) && !matches!(status, 401..=403 | 429)
}

/// Whether executing the call a second time would do harm.
const fn is_not_to_be_done_twice(class: &Class) -> bool {
    !class.profile().idempotency.is_repeatable()
}

/// A reply that cannot be delivered as a result.
struct ErrorReply<'a> {
    status: u16,
    hints: &'a ReplyHints,
    error: Option<&'a ErrorObject>,
    malformed: Option<&'a MalformedAnswer>,
    class: &'a Class,
    now_unix: u64,
}

impl ReplyHints {
    /// Whether they contain a point in time, so that the clock is needed to interpret them.
    pub const fn name_a_moment(&self) -> bool {
        self.retry_at_unix.is_some() || self.ratelimit_reset_unix.is_some()
    }
}

impl ErrorReply<'_> {
    fn verdict(&self) -> Verdict {
        match self.status {
            401 => return self.unauthorized(),
            402 => return self.credits(),
            403 => return self.forbidden(),
            410 if !self.is_a_nodes() => return refused(FaultKind::MethodDisabled),
            413 if !self.is_a_nodes() => {
                return refused(FaultKind::BodyTooLarge);
            }
            429 => return self.limited(),
            _ if self.hints.challenge => return challenge(),
            _ => {}
        }
        self.by_error()
            .or_else(|| self.by_wording())
            .unwrap_or_else(|| self.by_status())
    }

    /// Whether only a node gives this error, whatever is in front of it.
    fn is_a_nodes(&self) -> bool {
        let code = self.error.map(|error| error.code);
        code.is_some_and(|code| matches!(code, -32602 | -32022..=-32001))
    }

    /// The verdict by the error member. A status of 500 and above outranks codes that are no more
    /// specific.
    fn by_error(&self) -> Option<Verdict> {
        let error = self.error?;
        match error.code {
            401 | -32401 => return Some(self.unauthorized()),
            403 | -32403 => return Some(self.forbidden()),
            429 | -32429 | -32029 => return Some(self.limited()),
            _ => {}
        }
        let wording = wording::Wording::of_error(error);
        if let Some(verdict) = self.by_spoken(wording, error.code) {
            return Some(verdict);
        }
        let vague = matches!(error.code, -32603) || !codes::is_known(error.code);
        if vague && self.status >= 500 {
            return None;
        }
        Some(codes::verdict(error, self.class))
    }

    /// The verdict by a body that is not an answer.
    fn by_wording(&self) -> Option<Verdict> {
        self.malformed?;
        self.by_spoken(self.wording(), 0)
    }

    fn by_spoken(&self, wording: Option<wording::Wording>, code: i64) -> Option<Verdict> {
        use wording::Wording;
        match wording? {
            Wording::Limited | Wording::Credits => Some(self.limited()),
            Wording::Key => Some(self.unauthorized()),
            // A page that merely contains such words is not a refusal.
            Wording::Disabled | Wording::Plan if code == 0 => None,
            // Perhaps only for parameters like these.
            Wording::Disabled => Some(refused(FaultKind::MethodDisabled)),
            Wording::Plan => Some(refused(FaultKind::PolicyRefused)),
        }
    }

    fn by_status(&self) -> Verdict {
        match self.status {
            408 | 500.. => failed(FaultKind::ServerError),
            200..300 => {
                let kind = self.malformed.map(|malformed| malformed.kind.into());
                // Neither an error nor malformed: an impossible result.
                let kind = kind.unwrap_or(FaultKind::BadResult);
                failed(kind)
            }
            // Other upstreams will show whether the call or this upstream is at fault.
            400..500 => {
                let wants_tls = |body: &MalformedAnswer| wording::wants_tls(&body.excerpt);
                let kind = match self.malformed {
                    Some(body) if wants_tls(body) => FaultKind::SpeaksTls,
                    _ => FaultKind::UnexpectedStatus,
                };
                refused(kind)
            }
            _ => failed(FaultKind::UnexpectedStatus),
        }
    }

    /// What the reply says in words, from either kind of body.
    fn wording(&self) -> Option<wording::Wording> {
        match (self.error, self.malformed) {
            (Some(error), _) => wording::Wording::of_error(error),
            (None, Some(malformed)) => {
                let refusal = matches!(self.status, 402 | 403 | 429);
                wording::Wording::of_body(&malformed.excerpt, refusal)
            }
            (None, None) => None,
        }
    }

    fn limited(&self) -> Verdict {
        if self.hints.method_limit == Some(0) {
            return method_disabled();
        }
        if self.wording() == Some(wording::Wording::Credits) {
            return self.credits();
        }
        let message = self.error.map(|error| error.message.as_bytes());
        let text = message.or_else(|| self.malformed.map(|malformed| &malformed.excerpt[..]));
        let scope = wording::scope(text.unwrap_or_default());
        let penalty = Penalty::HoldOff {
            scope,
            at_least: self.wait(),
            credits: false,
        };
        upstream(FaultKind::RateLimited, Retry::Elsewhere, penalty)
    }

    fn credits(&self) -> Verdict {
        let (scope, at_least) = (Scope::Upstream, self.wait());
        let penalty = Penalty::HoldOff {
            scope,
            at_least,
            credits: true,
        };
        upstream(FaultKind::CreditsExhausted, Retry::Elsewhere, penalty)
    }

    fn unauthorized(&self) -> Verdict {
        let penalty = self.key_refused(Scope::Upstream);
        upstream(FaultKind::Unauthorized, Retry::Elsewhere, penalty)
    }

    /// Either the key does not allow this method, or the whole upstream is forbidden. Only the
    /// method is held off, so that one forbidden call does not take the upstream away from all
    /// others.
    fn forbidden(&self) -> Verdict {
        if self.hints.challenge {
            return challenge();
        }
        if self.hints.method_limit == Some(0) {
            return method_disabled();
        }
        let penalty = self.key_refused(Scope::Method);
        upstream(FaultKind::Forbidden, Retry::Elsewhere, penalty)
    }

    fn key_refused(&self, scope: Scope) -> Penalty {
        let at_least = self.wait().unwrap_or(KEY_REST);
        Penalty::KeyRefused { scope, at_least }
    }

    /// How long the upstream asks to be held off. A past time is ignored. `x-ratelimit-reset` is a
    /// point in time in seconds, for some providers in milliseconds, for others the seconds to
    /// wait.
    fn wait(&self) -> Option<Duration> {
        let reset = || {
            let reset = self.hints.ratelimit_reset_unix?;
            let seconds = match reset {
                ..=LONGEST_WAIT => reset,
                100_000_000_000.. => (reset / 1000).saturating_sub(self.now_unix),
                _ => reset.saturating_sub(self.now_unix),
            };
            (1..=LONGEST_WAIT)
                .contains(&seconds)
                .then(|| Duration::from_secs(seconds))
        };
        let retry_at = || {
            let seconds = self.hints.retry_at_unix?.saturating_sub(self.now_unix);
            Some(Duration::from_secs(seconds))
        };
        let retry_after = self.hints.retry_after.or_else(retry_at);
        retry_after.filter(|wait| !wait.is_zero()).or_else(reset)
    }
}

/// Whether an error without an id may refer to this request: "could not read the request" under the
/// `null` that JSON-RPC requires for it; and errors about the upstream, not about the call, from a
/// proxy in front of the node that does not parse calls.
fn is_known_to_be_meant(verdict: &Verdict, answer: Option<&Answer>) -> bool {
    let Some(answer) = answer.filter(|answer| answer.error().is_some()) else {
        return true;
    };
    match verdict.kind {
        _ if !answer.is_anonymous() => true,
        FaultKind::ParseError | FaultKind::InvalidRequest => answer.has_null_id(),
        kind => kind.is_the_upstreams_own(),
    }
}

const fn upstream(kind: FaultKind, retry: Retry, penalty: Penalty) -> Verdict {
    Verdict {
        kind,
        blame: Blame::Upstream,
        retry,
        penalty,
    }
}

const fn failed(kind: FaultKind) -> Verdict {
    upstream(kind, Retry::Elsewhere, Penalty::Failure)
}

const fn refused(kind: FaultKind) -> Verdict {
    upstream(kind, Retry::Elsewhere, Penalty::Refusal)
}

const fn challenge() -> Verdict {
    failed(FaultKind::Challenge)
}

/// Disabled, whatever the parameters.
const fn method_disabled() -> Verdict {
    upstream(
        FaultKind::MethodDisabled,
        Retry::Elsewhere,
        Penalty::CloseMethod,
    )
}

#[cfg(test)]
mod tests;
