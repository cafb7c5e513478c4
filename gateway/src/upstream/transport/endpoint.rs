//! An upstream's URL turned into what each call needs: the peer to connect to and the request's
//! head as bytes. Nothing a client sent gets into that head.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use pingora::protocols::{ALPN, Stream};
use pingora::upstreams::peer::HttpPeer;

use crate::config;
use crate::config::HttpVersion;
use crate::jsonrpc::RequestId;
use crate::trace::CorrelationHeaders;

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

/// Headers whose values are not secret.
const OPEN: [&str; 4] = ["content-type", "accept", "user-agent", ORIGIN];

/// TCP keep-alive finds dead peers under connections that are only read from.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// Marks the gateway's own calls in the logs of a node.
const PROBE: &str = "x-perijove-probe";

/// Identifies the process that sent a call, so that one which comes back to it is recognised.
const ORIGIN: &str = "x-perijove-instance";

/// A name for this process, different in each.
static INSTANCE: LazyLock<String> = LazyLock::new(|| format!("{:016x}", fastrand::u64(..)));

/// The header of every request.
#[cfg(test)]
pub(in crate::upstream) fn mark() -> (&'static str, &'static str) {
    (ORIGIN, &INSTANCE)
}

/// The name of this process in `x-perijove-instance`.
pub fn instance() -> &'static str {
    &INSTANCE
}

/// Agave's switch for its long-term storage.
const BIGTABLE: &str = "x-bigtable";

/// Who sends the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Purpose {
    /// A client.
    Call,
    /// A client that wants only what the node itself has, without its long-term storage.
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
pub struct Endpoint {
    peer: HttpPeer,
    /// Everything that is the same for all calls.
    head: Vec<u8>,
    /// Where its first line ends.
    first_line: usize,
    http: HttpVersion,
    tls: bool,
    uri: Uri,
    headers: HeaderMap,
    /// It offers HTTP/2 but then does not accept calls over it. Until its settings change only
    /// HTTP/1.1 is used.
    older: AtomicBool,
}

impl Endpoint {
    /// One that is sent JSON-RPC calls.
    pub(in crate::upstream) fn new(settings: &config::UpstreamSettings) -> Result<Self, BadHeader> {
        let json = "application/json".to_owned();
        let calls = [("content-type", json.clone()), ("accept", json)];
        Self::with_defaults(settings, &calls)
    }

    /// One whose requests say themselves what they carry and take.
    pub(in crate::upstream) fn bare(
        settings: &config::UpstreamSettings,
    ) -> Result<Self, BadHeader> {
        Self::with_defaults(settings, &[])
    }

    fn with_defaults(
        settings: &config::UpstreamSettings,
        defaults: &[(&str, String)],
    ) -> Result<Self, BadHeader> {
        let fields = fields(settings, defaults)?;
        let first_line = first_line(settings);
        Ok(Self {
            peer: template(settings),
            head: head(&first_line, &fields),
            first_line: first_line.len(),
            http: settings.http,
            tls: settings.url.is_tls(),
            uri: uri(settings)?,
            headers: headers(&fields),
            older: AtomicBool::new(false),
        })
    }

    /// Whether a connection may turn out to use HTTP/2.
    pub(in crate::upstream) fn may_be_http2(&self) -> bool {
        may_be_http2(self.http, self.tls) && !self.older.load(Ordering::Relaxed)
    }

    /// The upstream does not accept a call over HTTP/2. Returns whether HTTP/1.1 may be used, as it
    /// is from now on.
    pub(in crate::upstream) fn falls_back(&self) -> bool {
        let may = self.http == HttpVersion::Auto;
        if may && !self.older.swap(true, Ordering::Relaxed) {
            tracing::info!(
                upstream = self.uri.host(),
                "upstream requires HTTP/1.1; HTTP/2 disabled for it"
            );
        }
        may
    }

    /// Whether this new connection uses HTTP/2; `None` if it uses another version than required.
    pub(in crate::upstream) fn speaks_http2(&self, stream: &Stream) -> Option<bool> {
        let chosen = self.tls && stream.selected_alpn_proto() == Some(ALPN::H2);
        match self.http {
            HttpVersion::One => Some(false),
            HttpVersion::Auto => Some(chosen),
            HttpVersion::Two => (chosen || !self.tls).then_some(true),
        }
    }

    /// The peer at one of the upstream's addresses.
    pub(in crate::upstream) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = self.peer.clone();
        if self.older.load(Ordering::Relaxed) {
            peer.options.alpn = ALPN::H1;
        }
        peer._address = pingora::protocols::l4::socket::SocketAddr::Inet(address);
        peer
    }

    /// The fields of every request over HTTP/1.1, each with the end of its line.
    pub(in crate::upstream) fn lines(&self) -> &[u8] {
        self.head.get(self.first_line..).unwrap_or_default()
    }

    /// The same over HTTP/2.
    pub(in crate::upstream) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Where calls go.
    pub(in crate::upstream) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Appends a whole request: head and body, to be sent with one write. The call is open at its
    /// end, for the id.
    pub(in crate::upstream) fn request(
        &self,
        call: &[u8],
        id: RequestId,
        (purpose, headers): (Purpose, Option<&CorrelationHeaders>),
        out: &mut Vec<u8>,
    ) {
        let length = call.len() + id.closing_length();
        out.reserve(self.head.len() + length + 64);
        out.extend_from_slice(&self.head);
        match purpose {
            Purpose::Call => {}
            Purpose::LedgerOnly => append(out, BIGTABLE, b"disabled"),
            Purpose::Probe => append(out, PROBE, b"1"),
        }
        if let Some(headers) = headers {
            headers.tell(|name, value| append(out, name, value));
        }
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(call);
        id.close(out);
    }

    /// The head of a request over HTTP/2 whose body has this length.
    pub(in crate::upstream) fn request_head(
        &self,
        length: usize,
        purpose: Purpose,
        told: Option<&CorrelationHeaders>,
    ) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        let mut headers = self.headers.clone();
        let marked = match purpose {
            Purpose::Call => None,
            Purpose::LedgerOnly => Some((BIGTABLE, "disabled")),
            Purpose::Probe => Some((PROBE, "1")),
        };
        if let Some((name, value)) = marked {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        if let Some(told) = told {
            told.tell(|name, value| {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            });
        }
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        *request.headers_mut() = headers;
        request
    }
}

/// Whether HTTP/2 may be used towards an upstream with these settings.
pub(in crate::upstream) fn may_be_http2(http: HttpVersion, tls: bool) -> bool {
    match http {
        HttpVersion::One => false,
        HttpVersion::Auto => tls,
        HttpVersion::Two => true,
    }
}

/// The peer without its address. The address is set as a number so that the library never resolves
/// a name: it would block, keep the first result for ever and panic without one.
fn template(settings: &config::UpstreamSettings) -> HttpPeer {
    let tls = settings.url.is_tls();
    let sni = match &settings.tls.sni {
        Some(sni) => sni.clone(),
        None => settings.url.host().to_owned(),
    };
    let unset = SocketAddr::from(([0, 0, 0, 0], settings.url.port()));
    let mut peer = HttpPeer::new(unset, tls, if tls { sni } else { String::new() });
    peer.options.alpn = match settings.http {
        HttpVersion::Auto => ALPN::H2H1,
        HttpVersion::One => ALPN::H1,
        HttpVersion::Two => ALPN::H2,
    };
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

/// The target of every call: path and query.
fn target(url: &url::Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn authority(url: &url::Url) -> String {
    match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    }
}

/// The headers of every request except its length: the defaults, and the configured ones.
fn fields(
    settings: &config::UpstreamSettings,
    defaults: &[(&str, String)],
) -> Result<Vec<(String, String)>, BadHeader> {
    let host = [("host", authority(settings.url.expose()))];
    let own = [
        (
            "user-agent",
            concat!("perijove/", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        (ORIGIN, INSTANCE.clone()),
    ];
    let mut fields: Vec<_> = host
        .into_iter()
        .chain(defaults.iter().cloned())
        .chain(own)
        .filter(|(name, _)| !settings.headers.contains_key(*name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (name, value) in &settings.headers {
        // Secrets from files end with a newline.
        let value = value.expose().trim();
        if OWN.contains(&name.as_str()) || !is_header(name, value) {
            return Err(BadHeader {
                upstream: settings.id.clone(),
                name: name.clone(),
            });
        }
        fields.push((name.clone(), value.to_owned()));
    }
    Ok(fields)
}

fn first_line(settings: &config::UpstreamSettings) -> String {
    format!("POST {} HTTP/1.1\r\n", target(settings.url.expose()))
}

fn head(first_line: &str, fields: &[(String, String)]) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    head.extend_from_slice(first_line.as_bytes());
    for (name, value) in fields {
        append(&mut head, name, value.as_bytes());
    }
    head
}

fn uri(settings: &config::UpstreamSettings) -> Result<Uri, BadHeader> {
    let url = settings.url.expose();
    Uri::builder()
        .scheme(url.scheme())
        .authority(authority(url))
        .path_and_query(target(url))
        .build()
        .map_err(|_invalid| BadHeader {
            upstream: settings.id.clone(),
            name: ":path".to_owned(),
        })
}

/// In the form of HTTP/2: the host is part of the target.
fn headers(fields: &[(String, String)]) -> HeaderMap {
    fields
        .iter()
        .filter(|(name, _)| name != "host")
        .filter_map(|(name, value)| {
            let mut value = HeaderValue::from_str(value).ok()?;
            // Providers' keys are kept out of the compression table.
            value.set_sensitive(!OPEN.contains(&name.as_str()));
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
        })
        .collect()
}

fn append(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn is_header(name: &str, value: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
}
