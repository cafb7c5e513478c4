//! Where clients find the gateway: the RPC port in cleartext and over TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::{Network, TlsListener};

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
