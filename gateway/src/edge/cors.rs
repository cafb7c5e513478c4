//! CORS as Agave answers it: the origin echoed, `OPTIONS, POST`, a day of cache, and only when the
//! request carries an `Origin`.

use http::HeaderValue;
use pingora::http::ResponseHeader;

/// Our own headers that a browser's script may read.
const EXPOSED: &str = "x-request-id, x-perijove-cache, x-perijove-upstream, x-perijove-source, age, retry-after, \
                       x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset";

/// Adds the headers of an actual answer.
///
/// # Errors
/// A header that cannot be serialised; only a malformed `origin` could cause it.
pub(super) fn allow(origin: &HeaderValue, head: &mut ResponseHeader) -> pingora::Result<()> {
    head.insert_header("access-control-allow-origin", origin.clone())?;
    head.insert_header("access-control-expose-headers", EXPOSED)?;
    head.insert_header("vary", "origin")
}

/// Adds the headers of a preflight answer; `requested` is what the browser wants to send.
///
/// # Errors
/// As [`allow`].
pub(super) fn preflight(
    origin: Option<&HeaderValue>,
    requested: Option<&HeaderValue>,
    head: &mut ResponseHeader,
) -> pingora::Result<()> {
    head.insert_header("allow", "OPTIONS, POST")?;
    head.insert_header("accept", "application/json")?;
    if let Some(origin) = origin {
        allow(origin, head)?;
        head.insert_header("access-control-allow-methods", "OPTIONS, POST")?;
        head.insert_header("access-control-max-age", "86400")?;
        if let Some(requested) = requested {
            head.insert_header("access-control-allow-headers", requested.clone())?;
        }
    }
    Ok(())
}
