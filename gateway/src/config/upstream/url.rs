//! The address of an upstream, of which only the origin can be printed.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use url::{Host, Url};

/// The address of an upstream. Providers put keys into path and query, so neither is ever
/// printed: `Display` gives the origin, `Debug` hides the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl(Url);

impl UpstreamUrl {
    /// From a URL that is known to be valid; text from outside goes through [`Self::parse`].
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// Reads an `http` or `https` URL.
    ///
    /// # Errors
    /// Says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let url = parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlFault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment);
        }
        Ok(Self(url))
    }

    /// The whole URL, including what may be a key.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host name or address; IPv6 without brackets.
    pub fn host(&self) -> &str {
        self.0
            .host_str()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }

    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// Whether it is on this machine or in a private network.
    pub fn is_nearby(&self) -> bool {
        is_nearby(&self.0)
    }

    /// Whether path or query may hold a key.
    pub(crate) fn has_secret_part(&self) -> bool {
        self.0.query().is_some() || self.0.path().len() > 1
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/***")
    }
}

impl JsonSchema for UpstreamUrl {
    fn schema_name() -> Cow<'static, str> {
        "UpstreamUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Reads any URL that has a scheme. A host with a port reads like a scheme with a path.
pub(super) fn parse(text: &str) -> Result<Url, UrlFault> {
    match Url::parse(text) {
        Ok(url)
            if !url.has_host() && url.path().starts_with(|first: char| first.is_ascii_digit()) =>
        {
            Err(UrlFault::NoScheme)
        }
        Ok(url) => Ok(url),
        Err(url::ParseError::RelativeUrlWithoutBase) => Err(UrlFault::NoScheme),
        Err(fault) => Err(fault.into()),
    }
}

/// Whether a host is on this machine or in a private network.
pub(in crate::config) fn is_nearby(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_private(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => is_private(IpAddr::V6(ip)),
        // The URLs of some schemes keep addresses as text.
        Some(Host::Domain(name)) => match name.parse() {
            Ok(ip) => is_private(ip),
            Err(_) => is_own_name(name),
        },
        None => false,
    }
}

/// A name without a dot resolves within the local network.
fn is_own_name(name: &str) -> bool {
    let ends = [".localhost", ".local", ".internal", ".lan"];
    !name.contains('.') || ends.iter().any(|end| name.ends_with(end))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Why a text is not the address of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("is not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("lacks the scheme; write http:// or https:// before the host")]
    NoScheme,
    #[error("lacks the scheme; write ws:// or wss:// before the host")]
    WsNoScheme,
    #[error("must not hold a user name or password; put them into headers")]
    Credentials,
    #[error("must not have a fragment (#)")]
    Fragment,
    #[error("must begin with ws:// or wss://")]
    WsScheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_origin_is_printed() {
        let url = UpstreamUrl::parse("https://rpc.example.com/v2/key?api-key=hunter2").unwrap();
        assert_eq!(format!("{url} {url:?}").matches("key").count(), 0);
        assert_eq!(url.to_string(), "https://rpc.example.com");
        assert_eq!(
            (url.host(), url.port(), url.is_tls()),
            ("rpc.example.com", 443, true)
        );
    }

    #[test]
    fn an_ipv6_host_has_no_brackets() {
        let url = UpstreamUrl::parse("http://[::1]:8899").unwrap();
        assert_eq!((url.host(), url.port(), url.is_tls()), ("::1", 8899, false));
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for (text, fault) in [
            ("ws://node:8900", UrlFault::Scheme),
            ("localhost:8899", UrlFault::NoScheme),
            ("127.0.0.1:8899", UrlFault::NoScheme),
            ("//node:8899", UrlFault::NoScheme),
            ("node:8899/key", UrlFault::NoScheme),
            ("mailto:you", UrlFault::Scheme),
            ("https://user:pw@node", UrlFault::Credentials),
            ("https://node/#top", UrlFault::Fragment),
            ("node", UrlFault::NoScheme),
            ("http://", UrlFault::Syntax(url::ParseError::EmptyHost)),
        ] {
            assert_eq!(UpstreamUrl::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn own_networks_are_nearby() {
        for (text, nearby) in [
            ("http://127.0.0.1:8899", true),
            ("http://10.1.2.3", true),
            ("http://[::1]", true),
            ("http://validator:8899", true),
            ("http://validator.solana.internal", true),
            ("http://8.8.8.8", false),
            ("https://api.mainnet-beta.solana.com", false),
        ] {
            assert_eq!(
                UpstreamUrl::parse(text).unwrap().is_nearby(),
                nearby,
                "{text}"
            );
        }
    }
}
