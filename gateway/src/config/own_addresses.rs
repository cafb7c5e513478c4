//! Where the gateway itself listens: no address twice, and no upstream that leads back to it.

use std::net::{IpAddr, SocketAddr};

use perijove_core::settings::Section;

use crate::config::{Admin, Listen, UpstreamUrl};

#[cfg(test)]
mod tests;

/// Where the gateway itself listens, with the keys that configure it.
#[derive(Debug)]
pub(super) struct OwnAddresses(Vec<(String, SocketAddr)>);

impl OwnAddresses {
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
