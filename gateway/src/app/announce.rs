//! Announces the addresses as soon as the gateway listens: on stdout as one JSON line, and to the
//! process that this one replaces.

use std::io::Write;

use async_trait::async_trait;
use perijove_core::telemetry::json;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::addresses::ListenAddresses;
use super::listening::Listening;
use super::once::Once;
use super::upgrade::Inherited;

pub(super) struct Announce {
    addresses: ListenAddresses,
    listening: Listening,
    inherited: Once<Inherited>,
}

impl Announce {
    pub(super) fn new(
        addresses: ListenAddresses,
        listening: Listening,
        inherited: Option<Inherited>,
    ) -> Self {
        Self {
            addresses,
            listening,
            inherited: Once::new(inherited),
        }
    }

    fn line(&self) -> String {
        serde_json::json!({
            "event": "listening",
            "rpc": self.addresses.rpc,
            "tls": self.addresses.tls,
            "websocket": self.addresses.websocket,
            "admin": self.addresses.admin,
            "pid": std::process::id(),
        })
        .to_string()
    }
}

#[async_trait]
impl BackgroundService for Announce {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.listening.all() => {}
            _ = shutdown.changed() => return,
        }
        tracing::info!(
            rpc = json(&self.addresses.rpc).as_slice(),
            tls = json(&self.addresses.tls).as_slice(),
            websocket = json(&self.addresses.websocket).as_slice(),
            admin = self.addresses.admin.map(tracing::field::display),
            "listening"
        );
        if let Some(inherited) = self.inherited.lock().take() {
            inherited.listening();
        }
        // A closed stdout is no reason not to serve.
        drop(writeln!(std::io::stdout().lock(), "{}", self.line()));
    }
}
