//! Says on stdout, in one JSON line, where the gateway listens, as soon as it does.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use perijove_core::telemetry::json;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::addresses::Addresses;

/// Between two looks whether a listener is up.
const LOOK: Duration = Duration::from_millis(10);

pub(super) struct Announce(Addresses);

impl Announce {
    pub(super) fn new(addresses: Addresses) -> Self {
        Self(addresses)
    }

    fn line(&self) -> String {
        serde_json::json!({
            "event": "listening",
            "rpc": self.0.rpc,
            "tls": self.0.tls,
            "admin": self.0.admin,
            "pid": std::process::id(),
        })
        .to_string()
    }
}

#[async_trait]
impl BackgroundService for Announce {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let up = async {
            for address in self.0.rpc.iter().chain(&self.0.tls).chain(&self.0.admin) {
                while TcpStream::connect(reachable(*address)).await.is_err() {
                    sleep(LOOK).await;
                }
            }
        };
        tokio::select! {
            () = up => {}
            _ = shutdown.changed() => return,
        }
        tracing::info!(
            rpc = json(&self.0.rpc).as_slice(),
            tls = json(&self.0.tls).as_slice(),
            admin = self.0.admin.map(tracing::field::display),
            "listening"
        );
        // A closed stdout is no reason not to serve.
        drop(writeln!(std::io::stdout().lock(), "{}", self.line()));
    }
}

/// Where to connect to reach a listener of this address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
