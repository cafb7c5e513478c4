//! What providers say in words where the code says nothing. Owns the phrases, and what keeps a
//! caller from putting them into an upstream's mouth.

use crate::{jsonrpc::ErrorObject, solana::Scope};

/// The meaning of an error text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// Too many requests.
    Limited,
    /// Credits used up.
    Credits,
    /// This method is switched off.
    Disabled,
    /// This method is served under another plan only.
    Plan,
}

const CREDITS: &[&str] = &[
    "max usage reached",
    "out of credits",
    "credits exhausted",
    "no credits",
    "insufficient credits",
    "credit limit",
    "quota exceeded",
    "exceeded your quota",
    "monthly",
    "daily request",
    "usage limit",
];

const LIMITED: &[&str] = &[
    "too many requests",
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate exceeded",
    "requests per second",
    "request limit",
    "rps limit",
    "requests/second",
    "requests/sec",
    "per second capacity",
    "throttled",
];

const DISABLED: &[&str] = &[
    "been disabled",
    "is disabled",
    "method disabled",
    "not enabled",
    "method is not allowed",
    "method not allowed",
    "method is not available",
    "method not available",
    "not supported on",
    "not available on",
];

/// "Token" and "plan" alone are not enough: Agave speaks of token accounts.
const PLAN: &[&str] = &[
    "personal token",
    "api token",
    "access token",
    "auth token",
    "api key",
    "your plan",
    "current plan",
    "paid plan",
    "higher plan",
    "upgrade",
    "subscription",
];

/// Limits that hold for a whole upstream.
const WHOLE: &[&str] = &[
    "requests per second",
    "rps",
    "plan",
    "your ip",
    "per ip",
    "endpoint",
    "connection",
];

impl Wording {
    /// Reads the message of an error, if its code leaves the meaning open.
    pub(super) fn of_error(error: &ErrorObject) -> Option<Self> {
        if may_quote_the_caller(&error.message) {
            return None;
        }
        if is_precise(error.code) && !is_anothers(error) {
            return None;
        }
        let message = error.message.to_ascii_lowercase();
        // Only these two texts are Agave's own under -32005.
        if error.code == -32005 && (message.contains("behind") || message.contains("unhealthy")) {
            return None;
        }
        Self::of(&message)
    }

    /// Reads the beginning of a body that is no answer. That credits are used up takes the upstream
    /// away for long: it is believed of JSON, and of what came with the status of a `refusal`, not
    /// of any page that happens to speak of months.
    pub(super) fn of_body(excerpt: &[u8], refusal: bool) -> Option<Self> {
        let text = String::from_utf8_lossy(excerpt).to_ascii_lowercase();
        match Self::of(&text) {
            Some(Self::Credits) if !refusal && !text.trim_start().starts_with('{') => {
                mentions(&text, LIMITED).then_some(Self::Limited)
            }
            wording => wording,
        }
    }

    fn of(text: &str) -> Option<Self> {
        let any = |phrases| mentions(text, phrases);
        if any(CREDITS) {
            Some(Self::Credits)
        } else if any(LIMITED) {
            Some(Self::Limited)
        } else if any(DISABLED) {
            Some(Self::Disabled)
        } else if any(PLAN) {
            Some(Self::Plan)
        } else {
            None
        }
    }
}

fn mentions(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// What part of an upstream a rate limit is about, by its text. Unless it says otherwise it is
/// taken to be about the method; a limit on the whole shows itself method by method.
pub(super) fn scope(text: &[u8]) -> Scope {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let whole = WHOLE.iter().any(|phrase| text.contains(phrase));
    if whole && !text.contains("specific rpc call") {
        Scope::Upstream
    } else {
        Scope::Method
    }
}

/// Codes whose messages are Agave's own and may hold program logs or other foreign text.
const fn is_precise(code: i64) -> bool {
    matches!(code, -32022..=-32001 | -32700) && code != -32005
}

/// Some providers use codes of Agave's for limits of their own. Agave's text for these codes is
/// fixed, and quotes nobody.
fn is_anothers(error: &ErrorObject) -> bool {
    matches!(error.code, -32003 | -32007 | -32009)
        && error.message.to_ascii_lowercase().contains("request limit")
}

/// Agave's server repeats parts of the parameters after these words or within quotes. A caller
/// must not be able to close a method for all by naming it so.
fn may_quote_the_caller(message: &str) -> bool {
    message.starts_with("Invalid param") || message.contains(['`', '"'])
}
