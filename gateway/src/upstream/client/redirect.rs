//! Where an upstream's redirect leads. It is not followed, but an operator is told.

use std::fmt;

use http::Uri;

/// The fields that a head is searched for it.
const MOST_FIELDS: usize = 100;

/// The server of a `location`, without path and query: those may hold a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectTarget(Box<str>);

impl RedirectTarget {
    /// That of a head as it came over HTTP/1.1; none unless its status is a redirect's.
    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        // Those of nearly all calls are not looked at any further.
        let status = head.strip_prefix(b"HTTP/1.")?.get(2)?;
        if *status != b'3' {
            return None;
        }
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(head).ok()?;
        let mut fields = response.headers.iter();
        let location = fields.find(|field| field.name.eq_ignore_ascii_case("location"))?;
        Self::of(location.value)
    }

    /// That of the field's value; none if it names no server.
    pub(super) fn of(location: &[u8]) -> Option<Self> {
        let uri: Uri = std::str::from_utf8(location).ok()?.trim().parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let port = authority.port().map(|port| format!(":{port}"));
        let (host, port) = (authority.host(), port.unwrap_or_default());
        Some(Self(format!("{scheme}://{host}{port}").into()))
    }
}

impl fmt::Display for RedirectTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_told_without_what_may_be_a_key() {
        for (location, server) in [
            ("https://rpc.example/", Some("https://rpc.example")),
            (
                "https://rpc.example:8443/a-key?api-key=x",
                Some("https://rpc.example:8443"),
            ),
            (
                "https://user:word@rpc.example/",
                Some("https://rpc.example"),
            ),
            ("/elsewhere", None),
            ("//rpc.example/", None),
            ("", None),
        ] {
            let target = RedirectTarget::of(location.as_bytes());
            let told = target.map(|target| target.to_string());
            assert_eq!(told.as_deref(), server, "{location}");
            for (status, expected) in [(301, server), (308, server), (200, None)] {
                let head = format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\n\r\n");
                let told = RedirectTarget::of_head(head.as_bytes());
                let told = told.map(|target| target.to_string());
                assert_eq!(told.as_deref(), expected, "{head}");
            }
        }
    }
}
