//! CORS as Agave answers it: the origin echoed, `OPTIONS, POST`, a day of cache, and only when the
//! request carries an `Origin`. Paths of Jupiter's API have other verbs.

/// Receives one header line: name and value.
pub(super) type HeaderLine<'a> = &'a mut dyn FnMut(&'static str, &[u8]);

/// The gateway's own headers that scripts in browsers may read.
const EXPOSED: &str = "x-request-id, x-perijove-cache, x-perijove-upstream, x-perijove-source, age, retry-after, \
                       x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-perijove-slots-behind, \
                       x-perijove-fee-bps, x-perijove-referral-bps, x-perijove-variant, x-perijove-compared, \
                       x-perijove-gain-bps, x-perijove-priority-fee, x-perijove-unavailable";

/// Emits the lines of an actual answer.
pub(super) fn allow(origin: &[u8], line: HeaderLine<'_>) {
    line("access-control-allow-origin", origin);
    line("access-control-expose-headers", EXPOSED.as_bytes());
    line("vary", b"origin");
}

/// Emits the lines of a preflight answer; `requested` is what the browser wants to send, `verbs` what
/// the path has.
pub(super) fn preflight(
    origin: Option<&[u8]>,
    requested: Option<&[u8]>,
    verbs: &str,
    line: HeaderLine<'_>,
) {
    let allowed = format!("OPTIONS, {verbs}");
    line("allow", allowed.as_bytes());
    line("accept", b"application/json");
    let Some(origin) = origin else { return };
    allow(origin, &mut *line);
    line("access-control-allow-methods", allowed.as_bytes());
    line("access-control-max-age", b"86400");
    if let Some(requested) = requested {
        line("access-control-allow-headers", requested);
    }
}
