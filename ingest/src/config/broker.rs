//! Where a broker is.

use std::fmt;

use perijove_core::settings::Setting;
use schemars::JsonSchema;
use serde_json::{Value, json};

/// Host and port of a broker.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Broker {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    pub port: u16,
}

impl Broker {
    /// Bitquery's brokers, without TLS.
    pub(super) fn bitquery() -> Vec<Self> {
        (0..3)
            .map(|number| Self {
                host: format!("rpk{number}.bitquery.io"),
                port: 9092,
            })
            .collect()
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

impl Setting for Broker {
    const EXPECTED: &'static str = "a host with a port, such as rpk0.bitquery.io:9092";

    fn from_text(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let host = match bare {
            Some(address) => address
                .parse::<std::net::Ipv6Addr>()
                .ok()
                .map(|_| address)?,
            None => host,
        };
        let is_name = !host.is_empty() && host.bytes().all(plain);
        (is_name || bare.is_some()).then_some(())?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = host.to_owned();
        Some(Self { host, port })
    }

    fn show(&self) -> Value {
        json!(self.to_string())
    }

    fn schema() -> Value {
        json!({ "type": "string", "examples": ["rpk0.bitquery.io:9092"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        for (text, shown) in [
            ("rpk0.bitquery.io:9092", Some("rpk0.bitquery.io:9092")),
            ("127.0.0.1:9093", Some("127.0.0.1:9093")),
            ("[::1]:9092", Some("[::1]:9092")),
            ("kafka", None),
            ("kafka:0", None),
            ("kafka:99999", None),
            (":9092", None),
            ("kafka://host:9092", None),
            ("::1:9092", None),
            ("[kafka]:9092", None),
            ("a,b:9092", None),
        ] {
            let broker = Broker::from_text(text).map(|broker| broker.to_string());
            assert_eq!(broker.as_deref(), shown, "{text}");
        }
    }
}
