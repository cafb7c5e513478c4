//! Where an upstream serves subscriptions: as configured, or as Solana's clients compute it from
//! the address of its RPC.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use url::Url;

use super::url::parse;
use super::{UpstreamUrl, UrlFault};

/// A `ws` or `wss` URL. Path and query may be a key and are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct WsUrl(Url);

impl WsUrl {
    /// Reads a `ws` or `wss` URL.
    ///
    /// # Errors
    /// Says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let url = parse(text).map_err(|fault| match fault {
            UrlFault::NoScheme => UrlFault::WsNoScheme,
            fault => fault,
        })?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(UrlFault::WsScheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment);
        }
        Ok(Self(url))
    }

    /// Where an upstream with this address probably serves subscriptions, the likeliest first. A
    /// validator does so on the port above its RPC port; an upstream behind a path with a key, or
    /// on the default port of its scheme, on the same port.
    pub fn of(rpc: &UpstreamUrl) -> Vec<Self> {
        let mut same = rpc.expose().clone();
        let scheme = if rpc.is_tls() { "wss" } else { "ws" };
        // Both are schemes with a host, so it can be set.
        if same.set_scheme(scheme).is_err() {
            return Vec::new();
        }
        let mut urls = Vec::new();
        if let Some(port) = rpc.expose().port().and_then(|port| port.checked_add(1)) {
            let mut next = same.clone();
            if next.set_port(Some(port)).is_ok() {
                urls.push(Self(next));
            }
        }
        urls.push(Self(same));
        if rpc.has_secret_part() {
            urls.reverse();
        }
        urls
    }

    /// The whole URL, including what may be a key.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "wss"
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
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/***")
    }
}

impl JsonSchema for WsUrl {
    fn schema_name() -> Cow<'static, str> {
        "WsUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_are_looked_for_where_clients_look() {
        for (rpc, expected) in [
            (
                "http://127.0.0.1:8899",
                &["ws://127.0.0.1:8900/", "ws://127.0.0.1:8899/"][..],
            ),
            (
                "https://rpc.example.com/?api-key=k",
                &["wss://rpc.example.com/?api-key=k"],
            ),
            (
                "https://rpc.example.com:8443/key",
                &[
                    "wss://rpc.example.com:8443/key",
                    "wss://rpc.example.com:8444/key",
                ],
            ),
            ("http://node:65535", &["ws://node:65535/"]),
        ] {
            let urls = WsUrl::of(&UpstreamUrl::parse(rpc).unwrap());
            let texts: Vec<_> = urls.iter().map(|url| url.expose().as_str()).collect();
            assert_eq!(texts, expected, "{rpc}");
        }
    }

    #[test]
    fn only_the_origin_of_a_ws_url_is_printed() {
        let url = WsUrl::parse("wss://rpc.example.com/v2/key?api-key=hunter2").unwrap();
        assert_eq!(format!("{url} {url:?}").matches("key").count(), 0);
        assert_eq!((url.host(), url.port()), ("rpc.example.com", 443));
        assert_eq!(WsUrl::parse("http://a/"), Err(UrlFault::WsScheme));
        assert_eq!(WsUrl::parse("127.0.0.1:8900"), Err(UrlFault::WsNoScheme));
    }
}
