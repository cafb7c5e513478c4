//! Networks of addresses, and patterns of page origins.

use std::net::IpAddr;

use ipnet::IpNet;
use perijove_core::settings::Setting;
use perijove_core::settings::serde_json::{Value, json};
use schemars::JsonSchema;

/// A network of addresses, or a single address.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub struct Network(#[schemars(with = "String")] IpNet);

impl Network {
    /// An IPv4 address matches in both notations.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl Setting for Network {
    const EXPECTED: &'static str = "an address or a network, such as 10.0.0.0/8 or 2001:db8::/32";

    fn from_text(text: &str) -> Option<Self> {
        let single = || Some(IpNet::from(text.parse::<IpAddr>().ok()?.to_canonical()));
        let network = text.parse::<IpNet>().ok().or_else(single)?;
        Some(Self(network.trunc()))
    }

    fn show(&self) -> Value {
        json!(self.0.to_string())
    }

    fn schema() -> Value {
        json!({ "type": "string", "examples": ["10.0.0.0/8", "192.0.2.7"] })
    }
}

/// The origin of a page: scheme, host and port, as browsers write it. `*.` before the host matches
/// all its subdomains.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct OriginPattern(String);

const BELOW: &str = "://*.";

impl OriginPattern {
    /// Whether it matches this `Origin` header.
    pub fn means(&self, origin: &[u8]) -> bool {
        let Some((scheme, host)) = self.0.split_once(BELOW) else {
            return origin.eq_ignore_ascii_case(self.0.as_bytes());
        };
        let Some((before, end)) = origin
            .len()
            .checked_sub(host.len())
            .and_then(|at| origin.split_at_checked(at))
        else {
            return false;
        };
        // `scheme://` and a name with its dot.
        let name = before
            .split_at_checked(scheme.len() + 3)
            .filter(|(own, _)| {
                own.split_at_checked(scheme.len())
                    .is_some_and(|(own, slashes)| {
                        own.eq_ignore_ascii_case(scheme.as_bytes()) && slashes == b"://"
                    })
            })
            .and_then(|(_, name)| name.strip_suffix(b"."));
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        end.eq_ignore_ascii_case(host.as_bytes())
            && name.is_some_and(|name| !name.is_empty() && name.iter().all(plain))
    }
}

impl Setting for OriginPattern {
    const EXPECTED: &'static str =
        "an origin such as https://app.example or https://*.example, without a path";

    fn from_text(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let host = host.strip_prefix("*.").unwrap_or(host);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let scheme = !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (scheme && !host.is_empty() && host.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Value {
        json!(self.0)
    }

    fn schema() -> Value {
        json!({ "type": "string", "examples": ["https://app.example", "https://*.example"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_contain_what_begins_alike() {
        for (network, address, contained) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("0.0.0.0/0", "2001:db8::1", false),
        ] {
            let read = Network::from_text(network).unwrap();
            assert_eq!(
                read.contains(address.parse().unwrap()),
                contained,
                "{network} {address}"
            );
        }
        for bad in ["", "10.0.0.0/33", "example", "10.0.0/8", "10.0.0.1:80"] {
            assert!(Network::from_text(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_meant_as_a_whole_or_below_a_host() {
        for (pattern, origin, meant) in [
            ("https://app.example", "https://app.example", true),
            ("https://app.example", "HTTPS://App.Example", true),
            ("https://app.example", "http://app.example", false),
            ("https://app.example", "https://app.example:8443", false),
            ("https://app.example", "https://app.example.evil", false),
            ("https://*.example", "https://app.example", true),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://example", false),
            ("https://*.example", "https://.example", false),
            ("https://*.example", "https://evilexample", false),
            ("https://*.example", "http://app.example", false),
            ("https://*.example", "https://evil/app.example", false),
            ("https://*.example:8443", "https://app.example:8443", true),
            ("https://*.example", "null", false),
            ("https://*.example", "", false),
        ] {
            let read = OriginPattern::from_text(pattern).unwrap();
            assert_eq!(read.means(origin.as_bytes()), meant, "{pattern} {origin}");
        }
        for bad in [
            "",
            "app.example",
            "https://",
            "https://*.",
            "https://a/b",
            "://a",
            "*",
        ] {
            assert!(OriginPattern::from_text(bad).is_none(), "{bad}");
        }
    }
}
