//! Where the gateway listens: the RPC port in clear and over TLS, and the admin port.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::Identity;

/// The listeners of the RPC endpoint.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Listen {
    /// Addresses served in clear: HTTP/1.1 and, with `h2c`, HTTP/2 with prior knowledge.
    pub rpc: Vec<SocketAddr>,
    /// Addresses served over TLS; HTTP/2 is offered by ALPN.
    pub tls: Vec<TlsListener>,
    /// How long an idle connection of a client is kept, and a new one of HTTP/1 on which nothing
    /// is said.
    pub keepalive: Duration,
    /// Whether HTTP/2 is spoken on the clear addresses to clients that begin with it.
    pub h2c: bool,
    /// Whether WebSocket is also served on the port after each of these, where clients of Solana
    /// look for it. A port that something else has is left to it.
    pub next_port: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            rpc: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8899))],
            tls: Vec::new(),
            keepalive: Duration::from_secs(75),
            h2c: true,
            next_port: true,
        }
    }
}

impl Listen {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let tls = section.sections("tls", TlsListener::read);
        // Whoever names TLS addresses alone wants no clear one beside them.
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
        };
        if section.has("rpc") && section.is_empty_list("rpc") && !section.has("tls") {
            section.violation("rpc", "needs at least one address, or one in tls");
        }
        listen
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
}

impl TlsListener {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let address = section.required("address");
        let certificate: Option<PathBuf> = section.required("certificate");
        let key: Option<PathBuf> = section.required("key");
        let (certificate, key) = (certificate?, key?);
        Identity::look_at(section, &certificate, &key);
        Some(Self {
            address: address?,
            certificate: section.resolve(&certificate),
            key: section.resolve(&key),
        })
    }
}

/// The port for operators: metrics, health, status, reload.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Admin {
    /// Address and port, or `off` for no admin port.
    pub listen: Option<SocketAddr>,
    /// Names, besides addresses and `localhost`, under which calls that change something may be
    /// made. A page in a browser could reach the port under a name of its own.
    pub hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9090))),
            hosts: Vec::new(),
        }
    }
}

impl Admin {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            listen: section.or("listen", Self::default().listen),
            hosts: section.list_or("hosts", Vec::new()),
        }
    }
}

/// Reports addresses that are to be listened on twice. Port 0 takes any free port each time.
pub(super) fn refuse_double_addresses(section: &Section<'_>, listen: &Listen, admin: &Admin) {
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
    let mut seen: Vec<(String, SocketAddr)> = Vec::new();
    for (path, address) in rpc.chain(tls).chain(admin).filter(|(_, at)| at.port() != 0) {
        match seen.iter().find(|(_, other)| overlap(*other, address)) {
            Some((first, _)) => section.violation(&path, format_args!("is taken by {first}")),
            None => seen.push((path, address)),
        }
    }
}

/// Whether one process cannot listen on both.
fn overlap(left: SocketAddr, right: SocketAddr) -> bool {
    let wild = left.ip().is_unspecified() || right.ip().is_unspecified();
    left.port() == right.port()
        && (left.ip() == right.ip() || wild && left.is_ipv4() == right.is_ipv4())
}
