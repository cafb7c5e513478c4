//! Jupiter's API: its upstreams, and how quotes are kept.

mod health;
mod lifetimes;
mod optimizer;
mod quote;
mod referral;
mod upstream;

use perijove_core::settings::Section;
use schemars::JsonSchema;

pub use health::{Canary, JupiterHealth};
pub use lifetimes::Lifetimes;
pub use optimizer::OptimizerSettings;
pub use quote::Quotes;
pub use referral::{FeeAccount, Referral};
pub use upstream::{JupiterKind, JupiterPaths, JupiterUpstream};

/// Jupiter's API. Served when it has upstreams.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq)]
pub struct Jupiter {
    /// Without any, only the price API of `price` is served.
    pub upstreams: Vec<JupiterUpstream>,
    /// Whether upstreams with another `platform_fee_bps` than the first are asked when none with the
    /// same can answer. Their quotes are never kept together.
    pub fee_fallback: bool,
    /// Kept quotes.
    pub quote: Quotes,
    pub lifetimes: Lifetimes,
    /// Health checks.
    pub health: JupiterHealth,
    pub affinity: Affinity,
    pub optimizer: OptimizerSettings,
    pub referral: Referral,
}

/// What keeps a consumer's requests on one upstream. By default its key, or its address.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct Affinity {
    /// A request header whose value identifies the session.
    pub header: Option<String>,
    /// A cookie whose value does.
    pub cookie: Option<String>,
}

impl Jupiter {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let upstreams = JupiterUpstream::read_all(section);
        Self {
            upstreams,
            fee_fallback: section.or("fee_fallback", false),
            quote: section.nested("quote", Quotes::read),
            lifetimes: section.nested("lifetimes", Lifetimes::read),
            health: section.nested("health", JupiterHealth::read),
            affinity: section.nested("affinity", Affinity::read),
            optimizer: section.nested("optimizer", OptimizerSettings::read),
            referral: section.nested("referral", Referral::read),
        }
    }

    /// Whether any of it is served.
    pub fn is_served(&self) -> bool {
        !self.upstreams.is_empty()
    }
}

impl Affinity {
    fn read(section: &mut Section<'_>) -> Self {
        let header: Option<String> = section.optional("header");
        if header.as_ref().is_some_and(|name| !is_token(name)) {
            section.violation("header", "is not the name of a header");
        }
        let cookie: Option<String> = section.optional("cookie");
        if cookie.as_ref().is_some_and(|name| !is_token(name)) {
            section.violation("cookie", "is not the name of a cookie");
        }
        Self { header, cookie }
    }
}

fn is_token(name: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
}
