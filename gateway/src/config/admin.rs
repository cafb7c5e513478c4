//! The port for operators.

use std::net::{Ipv4Addr, SocketAddr};

use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::AdminTls;

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
