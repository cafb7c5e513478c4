//! The port for operators.

use std::net::{Ipv4Addr, SocketAddr};

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// Metrics, health, readiness.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct HttpSettings {
    /// Address and port, or `off` for none.
    pub listen: Option<SocketAddr>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9091))),
        }
    }
}

impl HttpSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            listen: section.or("listen", Self::default().listen),
        }
    }
}
