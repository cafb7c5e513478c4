//! Where the gateway listens: the RPC port in cleartext and over TLS, and the admin port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::{ClientAuth, Identity, Network, UpstreamUrl};

/// The listeners of the RPC endpoint.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Listen {
    /// Cleartext addresses: HTTP/1.1 and, with `h2c`, HTTP/2 with prior knowledge.
    pub rpc: Vec<SocketAddr>,
    /// TLS addresses; HTTP/2 is offered by ALPN.
    pub tls: Vec<TlsListener>,
    /// How long an idle client connection is kept, and a new HTTP/1 connection on which nothing is
    /// sent.
    pub keepalive: Duration,
    /// Whether HTTP/2 is accepted on the cleartext addresses from clients that start with it.
    pub h2c: bool,
    /// Whether WebSocket is also served on the port above each of these (over TLS for TLS
    /// addresses), where Solana clients look for it. A port that another program uses is skipped.
    pub next_port: bool,
    /// Load balancers and proxies whose word about the client address is trusted:
    /// `x-forwarded-for`, and the PROXY protocol.
    pub trusted_proxies: Vec<Network>,
    /// Those of the addresses, and the ports above them, on which every connection begins with a
    /// PROXY protocol header, version 1 or 2.
    pub proxy_protocol: Vec<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            rpc: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8899))],
            tls: Vec::new(),
            keepalive: Duration::from_secs(75),
            h2c: true,
            next_port: true,
            trusted_proxies: Vec::new(),
            proxy_protocol: Vec::new(),
        }
    }
}

impl Listen {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let tls = section.sections("tls", TlsListener::read);
        // A file with only TLS addresses wants no cleartext one.
        let rpc = if section.has("tls") {
            Vec::new()
        } else {
            default.rpc
        };
        let listen = Self {
            rpc: section.list_or("rpc", rpc),
            tls: tls.into_iter().flatten().collect(),
            keepalive: section.within(
                "keepalive",
                default.keepalive,
                Duration::from_secs(1)..=Duration::from_hours(1),
            ),
            h2c: section.or("h2c", default.h2c),
            next_port: section.or("next_port", default.next_port),
            trusted_proxies: section.list_or("trusted_proxies", Vec::new()),
            proxy_protocol: section.list_or("proxy_protocol", Vec::new()),
        };
        listen.check_proxy_protocol(section);
        if section.has("rpc") && section.is_empty_list("rpc") && !section.has("tls") {
            section.violation("rpc", "needs at least one address, or one in tls");
        }
        listen
    }

    fn check_proxy_protocol(&self, section: &Section<'_>) {
        if !self.proxy_protocol.is_empty() && self.trusted_proxies.is_empty() {
            section.violation(
                "proxy_protocol",
                "needs trusted_proxies; otherwise anybody could forge a client address",
            );
        }
        let tls = self.tls.iter().map(|listener| listener.address);
        let all: Vec<SocketAddr> = self.rpc.iter().copied().chain(tls).collect();
        for (index, address) in self.proxy_protocol.iter().enumerate() {
            if !all.contains(address) || address.port() == 0 {
                section.violation(
                    &format!("proxy_protocol[{index}]"),
                    "must be one of rpc or of tls[].address, with a port other than 0",
                );
            }
        }
    }
}

/// One TLS address with the files of its certificate.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct TlsListener {
    /// Address and port.
    pub address: SocketAddr,
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the certificate authorities whose clients are let in. Without it no client is
    /// asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// `required`: clients without a certificate are refused. `optional`: they are served like all
    /// others, and only a wrong certificate is refused.
    pub client_auth: ClientAuth,
}

impl TlsListener {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let address = section.required("address");
        let AdminTls {
            certificate,
            key,
            client_ca,
            client_auth,
        } = AdminTls::read(section)?;
        Some(Self {
            address: address?,
            certificate,
            key,
            client_ca,
            client_auth,
        })
    }
}

/// TLS of the admin port.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct AdminTls {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the certificate authorities whose clients may use the port. Without it no
    /// client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// `required`: clients without a certificate are refused in the handshake. `optional`: they
    /// need the token, if there is one, and otherwise get only `/health` and `/ready`.
    pub client_auth: ClientAuth,
}

impl AdminTls {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let certificate: Option<PathBuf> = section.required("certificate");
        let key: Option<PathBuf> = section.required("key");
        let (client_ca, client_auth) = ClientAuth::read(section);
        let (certificate, key) = (certificate?, key?);
        Identity::look_at(section, &certificate, &key);
        Some(Self {
            certificate: section.resolve(&certificate),
            key: section.resolve(&key),
            client_ca,
            client_auth,
        })
    }

    fn requires_certificate(&self) -> bool {
        self.client_ca.is_some() && self.client_auth == ClientAuth::Required
    }

    /// As a listener at this address.
    pub fn at(&self, address: SocketAddr) -> TlsListener {
        TlsListener {
            address,
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            client_auth: self.client_auth,
        }
    }
}

/// The port for operators: metrics, health, status, reload.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Admin {
    /// Address and port, or `off` for no admin port.
    pub listen: Option<SocketAddr>,
    /// Names, besides IP addresses and `localhost`, accepted as Host of requests that change
    /// something. A page in a browser could reach the port under a name of its own.
    pub hosts: Vec<String>,
    /// What whoever uses the port must show, except for `/health` and `/ready`: as bearer token, or
    /// as the password that a browser asks for. Without it everybody may use the port.
    pub token: Option<Secret>,
    /// Whether `/metrics` is answered without token or certificate too.
    pub open_metrics: bool,
    /// Its certificate; without it the port is served in cleartext.
    pub tls: Option<AdminTls>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9090))),
            hosts: Vec::new(),
            token: None,
            open_metrics: false,
            tls: None,
        }
    }
}

/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;

impl Admin {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let token = section.secret("token");
        if let Some(token) = &token {
            let text = token.expose();
            if text.len() < SHORTEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                section.violation(
                    "token",
                    format_args!(
                        "must be at least {SHORTEST_TOKEN} visible ASCII characters without spaces"
                    ),
                );
            }
        }
        let open_metrics = section.or("open_metrics", false);
        let listen = section.or("listen", Self::default().listen);
        let has_tls = section.has("tls");
        let tls = section.nested("tls", |section| {
            has_tls.then(|| AdminTls::read(section)).flatten()
        });
        if has_tls && listen.is_none() {
            section.violation("tls", "has no effect with `listen: off`");
        }
        let asks = tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
        if open_metrics && !section.has("token") && asks.is_none() {
            section.violation(
                "open_metrics",
                "has no effect without token or tls.client_ca",
            );
        }
        if open_metrics && tls.as_ref().is_some_and(AdminTls::requires_certificate) {
            section.violation(
                "open_metrics",
                "has no effect while tls.client_auth is `required`: write `optional`",
            );
        }
        Self {
            listen,
            hosts: section.list_or("hosts", Vec::new()),
            token,
            open_metrics,
            tls,
        }
    }

    /// Whether whoever uses it has to show something.
    pub fn is_guarded(&self) -> bool {
        let certificate = self.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
        self.token.is_some() || certificate.is_some()
    }

    /// Where other machines can use it without token or certificate.
    pub(super) fn exposed(&self) -> Option<SocketAddr> {
        let beyond = |at: &SocketAddr| !at.ip().to_canonical().is_loopback();
        self.listen.filter(beyond).filter(|_| !self.is_guarded())
    }

    /// Where the token goes over the network in cleartext.
    pub(super) fn tells_token(&self) -> Option<SocketAddr> {
        let beyond = |at: &SocketAddr| !at.ip().to_canonical().is_loopback();
        let told = self.token.is_some() && self.tls.is_none();
        self.listen.filter(beyond).filter(|_| told)
    }
}

/// Where the gateway itself listens, with the keys that configure it.
#[derive(Debug)]
pub(super) struct Own(Vec<(String, SocketAddr)>);

impl Own {
    pub(super) fn new(listen: &Listen, admin: &Admin) -> Self {
        Self(addresses(listen, admin).collect())
    }

    /// The listener that a URL points back at, if that is certain without a DNS lookup.
    pub(super) fn leads_back(&self, url: &UpstreamUrl) -> Option<&str> {
        let host = url.host();
        let host_ip = host.parse::<IpAddr>().map(|ip| ip.to_canonical());
        let reaches = |at: SocketAddr| match host_ip {
            Ok(ip) if at.ip().is_unspecified() => ip.is_loopback() || ip.is_unspecified(),
            Ok(ip) => ip == at.ip(),
            Err(_) => host == "localhost" && (at.ip().is_unspecified() || at.ip().is_loopback()),
        };
        let found = self
            .0
            .iter()
            .find(|(_, at)| at.port() == url.port() && reaches(*at));
        found.map(|(key, _)| key.as_str())
    }

    /// Refuses an upstream that is the gateway itself: each call would loop.
    pub(super) fn refuse(&self, section: &Section<'_>, path: &str, url: &UpstreamUrl) {
        if let Some(key) = self.leads_back(url) {
            section.violation_at(
                path,
                format_args!("points back at this gateway, which listens there ({key})"),
            );
        }
    }
}

/// All addresses but those of port 0, which takes any free port each time.
fn addresses<'a>(
    listen: &'a Listen,
    admin: &'a Admin,
) -> impl Iterator<Item = (String, SocketAddr)> + use<'a> {
    let rpc = listen
        .rpc
        .iter()
        .enumerate()
        .map(|(i, at)| (format!("listen.rpc[{i}]"), *at));
    let tls = listen.tls.iter().enumerate();
    let tls = tls.map(|(i, tls)| (format!("listen.tls[{i}].address"), tls.address));
    let admin = admin
        .listen
        .iter()
        .map(|at| ("admin.listen".to_owned(), *at));
    rpc.chain(tls).chain(admin).filter(|(_, at)| at.port() != 0)
}

/// Reports addresses that are configured twice.
pub(super) fn refuse_double_addresses(section: &Section<'_>, listen: &Listen, admin: &Admin) {
    let mut seen: Vec<(String, SocketAddr)> = Vec::new();
    for (path, address) in addresses(listen, admin) {
        match seen.iter().find(|(_, other)| overlap(*other, address)) {
            Some((first, _)) => {
                section.violation(&path, format_args!("is already used by {first}"));
            }
            None => seen.push((path, address)),
        }
    }
    refuse_taken_next_ports(section, listen, admin);
}

/// Refuses addresses on the port above another, where clients look for WebSocket, unless they serve
/// the same: an admin port, or TLS above cleartext, would be silently in its way.
fn refuse_taken_next_ports(section: &Section<'_>, listen: &Listen, admin: &Admin) {
    if !listen.next_port {
        return;
    }
    let kind = |path: &str| path.split('[').next().map(str::to_owned);
    let all: Vec<_> = addresses(listen, admin).collect();
    for (below, address) in all.iter().filter(|(path, _)| path != "admin.listen") {
        let Some(next) = address.port().checked_add(1) else {
            continue;
        };
        let next = SocketAddr::new(address.ip(), next);
        let taken = all
            .iter()
            .find(|(path, other)| overlap(*other, next) && kind(path) != kind(below));
        if let Some((path, _)) = taken {
            section.violation(
                path,
                format_args!(
                    "is the port above {below}, where clients of Solana look for WebSocket; take \
                     another port, or set `listen.next_port: false`, which leaves WebSocket on the \
                     RPC port alone"
                ),
            );
        }
    }
}

/// Whether one process cannot listen on both.
fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let wild = left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() == right.port()
        && (left.ip() == right.ip() || wild && left.is_ipv4() == right.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_is_the_gateway_itself_is_known_by_its_address() {
        let own = |rpc: &str| {
            let listen = Listen {
                rpc: vec![rpc.parse().unwrap()],
                ..Listen::default()
            };
            Own::new(&listen, &Admin::default())
        };
        for (rpc, url, key) in [
            (
                "0.0.0.0:8899",
                "http://127.0.0.1:8899",
                Some("listen.rpc[0]"),
            ),
            (
                "0.0.0.0:8899",
                "http://localhost:8899/key",
                Some("listen.rpc[0]"),
            ),
            ("0.0.0.0:8899", "http://[::1]:8899", Some("listen.rpc[0]")),
            ("[::]:8899", "http://127.0.0.1:8899", Some("listen.rpc[0]")),
            (
                "0.0.0.0:8899",
                "http://[::ffff:127.0.0.1]:8899",
                Some("listen.rpc[0]"),
            ),
            ("0.0.0.0:80", "http://127.0.0.2", Some("listen.rpc[0]")),
            (
                "10.0.0.5:8899",
                "http://10.0.0.5:8899",
                Some("listen.rpc[0]"),
            ),
            (
                "127.0.0.1:8899",
                "http://127.0.0.1:9090",
                Some("admin.listen"),
            ),
            ("0.0.0.0:8899", "http://127.0.0.1:8999", None),
            ("0.0.0.0:8899", "http://10.0.0.5:8899", None),
            ("127.0.0.1:8899", "http://127.0.0.2:8899", None),
            ("10.0.0.5:8899", "http://localhost:8899", None),
            ("0.0.0.0:8899", "http://validator:8899", None),
            ("127.0.0.1:0", "http://127.0.0.1:8899", None),
        ] {
            let own = own(rpc);
            let url = UpstreamUrl::parse(url).unwrap();
            assert_eq!(own.leads_back(&url), key, "{rpc} {url}");
        }
    }
}
