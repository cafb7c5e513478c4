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

    /// Whether its host is known to be none of the operator's own network: a public address, or a name
    /// that the whole internet can resolve.
    pub fn is_public(&self) -> bool {
        is_public(&self.0)
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
pub(in crate::config) fn parse(text: &str) -> Result<Url, UrlFault> {
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

/// Whether a host is known to be in no private network. Of most names nobody can tell: a cluster and
/// a company's DNS have their own.
fn is_public(url: &Url) -> bool {
    let Some(Host::Domain(name)) = url.host() else {
        return url.has_host() && !is_nearby(url);
    };
    if is_nearby(url) {
        return false;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.rsplit_once('.') {
        // A service and its namespace, unless it is spoken to as providers are.
        Some((host, _)) if !host.contains('.') && url.scheme() == "http" => false,
        Some((_, last)) => {
            let of_a_country =
                last.len() == 2 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
            of_a_country || name.parse::<IpAddr>().is_ok() || PUBLIC_ENDS.contains(&last)
        }
        None => false,
    }
}

/// The ends of names under which providers are found.
const PUBLIC_ENDS: [&str; 14] = [
    "com", "net", "org", "info", "biz", "pro", "one", "dev", "app", "xyz", "cloud", "network",
    "tech", "finance",
];

/// A name without a dot resolves within the local network, and so do these.
fn is_own_name(name: &str) -> bool {
    let ends = [
        ".localhost",
        ".localdomain",
        ".local",
        ".internal",
        ".lan",
        ".home.arpa",
        // A Kubernetes cluster, Consul, Tailscale.
        ".svc",
        ".consul",
        ".ts.net",
    ];
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.contains('.') || ends.iter().any(|end| name.ends_with(end))
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            // Shared by a provider's customers, or the pods of a cluster (RFC 6598); for benchmarks
            // (RFC 2544).
            let is_shared = first == 100 && second & 0xc0 == 64;
            let is_of_benchmarks = first == 198 && second & 0xfe == 18;
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || is_shared
                || is_of_benchmarks
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
        }
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
            ("http://validator.rpc.svc:8899", true),
            ("http://validator.rpc.svc.cluster.local.", true),
            ("http://validator.tail1234.ts.net", true),
            ("http://100.64.0.1", true),
            ("http://100.127.255.255", true),
            ("http://100.63.255.255", false),
            ("http://100.128.0.0", false),
            ("http://169.254.1.1", true),
            ("http://172.31.0.1", true),
            ("http://172.32.0.1", false),
            ("http://198.19.0.1", true),
            ("http://[fc00::1]", true),
            ("http://[fdff::1]", true),
            ("http://[fe80::1]", true),
            ("http://[::ffff:10.0.0.1]", true),
            ("http://[::ffff:8.8.8.8]", false),
            ("http://[2001:db8::1]", false),
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

    #[test]
    fn only_what_is_known_to_be_elsewhere_is_public() {
        for (text, public) in [
            ("http://8.8.8.8", true),
            ("http://[2001:db8::1]", true),
            ("https://api.mainnet-beta.solana.com", true),
            ("https://rpc.provider.io/key", true),
            ("https://provider.com", true),
            ("http://10.1.2.3", false),
            ("http://100.100.1.2:8899", false),
            ("http://validator", false),
            ("http://validator.rpc:8899", false),
            ("http://validator.rpc.svc:8899", false),
            ("http://validator.rpc.svc.cluster.example", false),
            ("http://node7.mainnet.solana.intern", false),
        ] {
            assert_eq!(
                UpstreamUrl::parse(text).unwrap().is_public(),
                public,
                "{text}"
            );
        }
    }
}
