//! The first line of a request, parsed strictly (RFC 9112 §3).

use crate::error::Rejection;
use crate::framing::host::is_host;
use crate::framing::line::is_token;

pub(super) const BAD_LINE: Rejection = Rejection::BadHttp {
    reason: "the request line is malformed",
};

/// The first line of a head.
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    /// The origin form of the target: path and query.
    pub(super) path: &'a str,
    /// The authority, for a target that contains it.
    pub(super) authority: Option<&'a str>,
    pub(super) is_current: bool,
}

impl<'a> RequestLine<'a> {
    pub(super) fn read(line: &'a [u8]) -> Result<Self, Rejection> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(BAD_LINE);
        };
        if method.is_empty() || !method.iter().copied().all(is_token) {
            return Err(BAD_LINE);
        }
        let is_current = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => {
                return Err(Rejection::BadHttp {
                    reason: "the version is neither HTTP/1.1 nor HTTP/1.0",
                });
            }
        };
        let target = std::str::from_utf8(target)
            .ok()
            .filter(|target| is_visible_target(target.as_bytes()))
            .ok_or(BAD_TARGET)?;
        let (authority, path) = split(method, target)?;
        Ok(Self {
            method,
            path,
            authority,
            is_current,
        })
    }
}

/// Whether a target has only characters that all servers read alike, and no fragment, which is for
/// the client only.
pub(in crate::edge) fn is_visible_target(target: &[u8]) -> bool {
    let visible = |byte: &u8| byte.is_ascii_graphic() && !b"#\"<>`".contains(byte);
    !target.is_empty() && target.iter().all(visible)
}

const BAD_TARGET: Rejection = Rejection::BadHttp {
    reason: "the request target is malformed",
};

/// Splits a target into authority and path (RFC 9112 §3.2).
fn split<'a>(method: &[u8], target: &'a str) -> Result<(Option<&'a str>, &'a str), Rejection> {
    if target.starts_with('/') || (target == "*" && method == b"OPTIONS") {
        return Ok((None, target));
    }
    if method == b"CONNECT" {
        // Nothing is requested of this server; the method is refused like any other.
        return Ok((None, "/"));
    }
    let (scheme, rest) = target.split_once("://").ok_or(BAD_TARGET)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(BAD_TARGET);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let is_uri = target.parse::<http::Uri>().is_ok();
    if authority.is_empty() || !is_host(authority.as_bytes()) || !is_uri {
        return Err(BAD_TARGET);
    }
    // Some servers read a query without a path as one of the root, others as none.
    match path {
        "" => Ok((Some(authority), "/")),
        path if path.starts_with('/') => Ok((Some(authority), path)),
        _ => Err(BAD_TARGET),
    }
}
