//! Providers' error texts, for errors whose code says nothing: the phrases, and checks that a
//! caller cannot inject them.

use crate::{jsonrpc::ErrorObject, solana::Scope};

/// The meaning of an error text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// Too many requests.
    Limited,
    /// Credits used up.
    Credits,
    /// This method is disabled.
    Disabled,
    /// This method needs another plan.
    Plan,
    /// The key is not known.
    Key,
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

/// "Token" and "plan" alone are not enough: Agave's errors mention token accounts.
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

const KEY: &[&str] = &[
    "invalid api key",
    "invalid api-key",
    "invalid apikey",
    "invalid access token",
    "api key is invalid",
    "api key is missing",
    "api key not found",
    "missing api key",
    "unknown api key",
];

/// Servers that speak TLS say this to whoever does not.
const WANTS_TLS: &[&str] = &[
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "client sent an http request to an https server",
];

/// Limits that apply to a whole upstream.
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

    /// Reads the beginning of a body that is not an answer. Used-up credits take the upstream away
    /// for long: this is accepted from JSON, and from bodies with the status of a `refusal`, not
    /// from any page that happens to mention months.
    pub(super) fn of_body(excerpt: &[u8], refusal: bool) -> Option<Self> {
        let text = String::from_utf8_lossy(excerpt).to_ascii_lowercase();
        match Self::of(&text) {
            Some(Self::Credits) if !refusal && !text.trim_start().starts_with('{') => {
                mentions(&text, LIMITED).then_some(Self::Limited)
            }
            // A page may tell of keys, and be about something else.
            Some(Self::Key) if text.trim_start().starts_with('<') => None,
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
        } else if any(KEY) {
            Some(Self::Key)
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

/// Whether the beginning of a body says that the port speaks TLS alone.
pub(super) fn wants_tls(excerpt: &[u8]) -> bool {
    let text = String::from_utf8_lossy(excerpt).to_ascii_lowercase();
    mentions(&text, WANTS_TLS)
}

/// What a rate limit applies to, judging by its text. By default the method; a limit on the whole
/// upstream shows itself method by method.
pub(super) fn scope(text: &[u8]) -> Scope {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let whole = WHOLE.iter().any(|phrase| text.contains(phrase));
    if whole && !text.contains("specific rpc call") {
        Scope::Upstream
    } else {
        Scope::Method
    }
}

/// Codes whose messages are Agave's own and may contain program logs or other foreign text.
const fn is_precise(code: i64) -> bool {
    matches!(code, -32022..=-32001 | -32700) && code != -32005
}

/// Some providers use Agave's codes for limits of their own. Agave's text for these codes is fixed,
/// and quotes nothing.
fn is_anothers(error: &ErrorObject) -> bool {
    matches!(error.code, -32003 | -32007 | -32009)
        && error.message.to_ascii_lowercase().contains("request limit")
}

/// Agave's server repeats parts of the parameters after these words or within quotes. A caller must
/// not be able to block a method for all by naming it so.
fn may_quote_the_caller(message: &str) -> bool {
    message.starts_with("Invalid param") || message.contains(['`', '"'])
}
