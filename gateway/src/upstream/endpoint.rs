//! An upstream's URL turned into what each call needs: the peer to connect to and the request's
//! head as bytes. Nothing a client sent gets into that head.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;

use crate::config;
use crate::jsonrpc::RequestId;

#[cfg(test)]
mod tests;

/// Headers that belong to the connection; configured ones would break its framing.
const OWN: [&str; 6] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
];

/// TCP keep-alive finds dead peers under connections that are only read from.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// Tells the gateway's own calls apart in the logs of a node.
const PROBE: &str = "x-perijove-probe";

/// Agave's switch for its long-term storage.
const BIGTABLE: &str = "x-bigtable";

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client.
    Call,
    /// A client that wants what the node itself has, without its long-term storage.
    LedgerOnly,
    /// The gateway itself.
    Probe,
}

/// A header that cannot be sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("upstream {upstream}: header {name:?} cannot be sent")]
pub struct BadHeader {
    pub upstream: String,
    pub name: String,
}

/// Where an upstream is and how a request to it begins.
#[derive(Debug)]
pub(super) struct Endpoint {
    peer: HttpPeer,
    /// Everything that is the same for all requests.
    head: Vec<u8>,
}

impl Endpoint {
    pub(super) fn new(settings: &config::Upstream) -> Result<Self, BadHeader> {
        Ok(Self {
            peer: template(settings),
            head: head(settings)?,
        })
    }

    /// The peer at one of the upstream's addresses.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = self.peer.clone();
        peer._address = pingora::protocols::l4::socket::SocketAddr::Inet(address);
        peer
    }

    /// Appends a whole request: head and body, to be sent with one write. The call is open at its
    /// end, where its id goes.
    pub(super) fn request(&self, call: &[u8], id: RequestId, purpose: Purpose, out: &mut Vec<u8>) {
        let length = call.len() + id.closing_length();
        out.reserve(self.head.len() + length + 64);
        out.extend_from_slice(&self.head);
        match purpose {
            Purpose::Call => {}
            Purpose::LedgerOnly => append(out, BIGTABLE, "disabled"),
            Purpose::Probe => append(out, PROBE, "1"),
        }
        out.extend_from_slice(b"content-length: ");
        // Writing into a vector cannot fail.
        let _written = write!(out, "{length}\r\n\r\n");
        out.extend_from_slice(call);
        id.close(out);
    }
}

/// The peer without its address. The address is given as a number so that the library never
/// resolves a name: it would block, take the first result for ever and panic without one.
fn template(settings: &config::Upstream) -> HttpPeer {
    let tls = settings.url.is_tls();
    let sni = match &settings.tls.sni {
        Some(sni) => sni.clone(),
        None => settings.url.host().to_owned(),
    };
    let unset = SocketAddr::from(([0, 0, 0, 0], settings.url.port()));
    let mut peer = HttpPeer::new(unset, tls, if tls { sni } else { String::new() });
    peer.options.verify_cert = settings.tls.verify;
    peer.options.verify_hostname = settings.tls.verify;
    peer.options.tcp_keepalive = Some(pingora::protocols::l4::ext::TcpKeepalive {
        idle: TCP_KEEPALIVE,
        interval: TCP_KEEPALIVE / 4,
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    peer
}

fn head(settings: &config::Upstream) -> Result<Vec<u8>, BadHeader> {
    let url = settings.url.expose();
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(b"POST ");
    head.extend_from_slice(url.path().as_bytes());
    if let Some(query) = url.query() {
        head.push(b'?');
        head.extend_from_slice(query.as_bytes());
    }
    head.extend_from_slice(b" HTTP/1.1\r\n");

    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let defaults = [
        ("host", host.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        (
            "user-agent",
            concat!("perijove/", env!("CARGO_PKG_VERSION")),
        ),
    ];
    for (name, value) in defaults {
        if !settings.headers.contains_key(name) {
            append(&mut head, name, value);
        }
    }
    for (name, value) in &settings.headers {
        // Secrets from files end with a newline.
        let value = value.expose().trim();
        if OWN.contains(&name.as_str()) || !is_header(name, value) {
            return Err(BadHeader {
                upstream: settings.id.clone(),
                name: name.clone(),
            });
        }
        append(&mut head, name, value);
    }
    Ok(head)
}

fn append(head: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn is_header(name: &str, value: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_str(value).is_ok()
}
