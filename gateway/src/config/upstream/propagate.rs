//! What an upstream is told of the requests that it is asked for.

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// Which names of a client's request go on to an upstream. None by default: an upstream that belongs to
/// somebody else need not see them.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct Propagate {
    /// `x-request-id`: that of the client's request, or the one it was given.
    pub request_id: bool,
    /// `traceparent` and `tracestate`, as W3C's Trace Context has them: each attempt is a span of the
    /// client's trace, or of one that begins here.
    pub trace: bool,
}

impl Propagate {
    /// Reads it. `is_set` says which headers are configured to be sent with every request.
    pub(in crate::config) fn read(
        section: &mut Section<'_>,
        is_set: impl Fn(&str) -> bool,
    ) -> Self {
        let propagate = Self {
            request_id: section.or("request_id", false),
            trace: section.or("trace", false),
        };
        for (key, on, headers) in [
            ("request_id", propagate.request_id, &["x-request-id"][..]),
            ("trace", propagate.trace, &["traceparent", "tracestate"]),
        ] {
            if on && headers.iter().any(|header| is_set(header)) {
                section.violation(key, "is also among headers, which are sent with every call");
            }
        }
        propagate
    }
}
