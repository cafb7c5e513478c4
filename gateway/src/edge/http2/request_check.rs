//! What is refused of a request over HTTP/2 although Pingora and the `h2` crate accept it: the same
//! as over HTTP/1, so that a server behind this one cannot be told anything else by either.

use http::Method;
use http::header::HOST;
use pingora::http::RequestHeader;

use crate::edge::http1::request::{MOST_FIELDS, is_visible_target};
use crate::error::Rejection;
use crate::framing::host::is_host;

/// Checks the head of a request.
///
/// # Errors
/// [`Rejection::BadHttp`] with the reason, or [`Rejection::HeadTooLarge`].
pub(in crate::edge) fn check(head: &RequestHeader) -> Result<(), Rejection> {
    if head.headers.len() > MOST_FIELDS {
        return Err(Rejection::HeadTooLarge);
    }
    // The `h2` crate forgets the scheme of a request without authority.
    let scheme = head.uri.scheme_str().unwrap_or("https");
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return bad("the scheme is neither http nor https");
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let authority = head.uri.authority();
    if !authority.is_none_or(|authority| is_host(authority.as_str().as_bytes()))
        || !hosts.all(|host| is_host(host.as_bytes()))
    {
        return bad("host is malformed");
    }
    let target = head.raw_path();
    if target == b"*" && head.method != Method::OPTIONS || !is_visible_target(target) {
        // A CONNECT has none.
        if head.method != Method::CONNECT {
            return bad("the request target is malformed");
        }
    }
    Ok(())
}

fn bad(reason: &'static str) -> Result<(), Rejection> {
    Err(Rejection::BadHttp { reason })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: &str, uri: &str, fields: usize) -> RequestHeader {
        let mut request = Request::builder().method(method).uri(uri);
        for number in 0..fields {
            request = request.header("x", number);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        parts.into()
    }

    #[test]
    fn usual_requests_pass() {
        for (method, uri) in [
            ("POST", "http://a/"),
            ("POST", "HTTPS://a:80/x?y=z"),
            ("POST", "https://[::1]:8899/"),
            ("GET", "/health"),
            ("OPTIONS", "*"),
            ("CONNECT", "a:80"),
        ] {
            assert_eq!(check(&head(method, uri, MOST_FIELDS)), Ok(()), "{uri}");
        }
    }

    #[test]
    fn what_http_1_refuses_is_refused() {
        for (method, uri) in [
            ("POST", "ftp://a/"),
            ("POST", "x://a/"),
            ("POST", "http://a:99999/"),
            ("POST", "http://a,b/"),
            ("POST", "*"),
            ("POST", "http://a/\"x\""),
        ] {
            let refused = check(&head(method, uri, 0));
            assert!(matches!(refused, Err(Rejection::BadHttp { .. })), "{uri}");
        }
        let long = check(&head("POST", "http://a/", MOST_FIELDS + 1));
        assert_eq!(long, Err(Rejection::HeadTooLarge));
    }
}
