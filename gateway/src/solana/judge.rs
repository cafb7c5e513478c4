//! Judging a reply: is it good to deliver, and if not, what does it mean?

use std::time::Duration;

use super::{Class, Verdict};
use crate::jsonrpc::{Answer, Malformed};

/// What the headers of a reply say besides its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyHints {
    /// `retry-after`, if it was a number of seconds.
    pub retry_after: Option<Duration>,
    /// `x-ratelimit-reset` in seconds since the Unix epoch.
    pub ratelimit_reset_unix: Option<u64>,
    /// `x-ratelimit-method-limit`; 0 means that the method is closed.
    pub method_limit: Option<i64>,
    /// `cf-mitigated: challenge`.
    pub challenge: bool,
    /// The content type is JSON.
    pub content_type_json: bool,
}

/// Judges a reply. `None` means: deliver it. `now_unix` is in seconds.
pub fn judge(
    _status: u16,
    _hints: &ReplyHints,
    _answer: Result<&Answer, &Malformed>,
    _class: &Class,
    _now_unix: u64,
) -> Option<Verdict> {
    None
}
