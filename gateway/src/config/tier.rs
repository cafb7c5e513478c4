//! Tiers: which upstreams are asked first, and what follows from it.

use perijove_core::settings::{Section, words};
use schemars::JsonSchema;

/// The order in which upstreams are preferred.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Own validators.
    Local,
    /// Paid capacity.
    Paid,
    /// Free endpoints, the last resort.
    Public,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Local, Self::Paid, Self::Public];

    /// The name in configuration, metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Paid => "paid",
            Self::Public => "public",
        }
    }
}

/// Defaults of the upstreams of each tier.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Tiers {
    pub local: TierDefaults,
    pub paid: TierDefaults,
    pub public: TierDefaults,
}

impl Default for Tiers {
    fn default() -> Self {
        Self {
            local: TierDefaults {
                connections: 20,
                metered: false,
            },
            paid: TierDefaults {
                connections: 10,
                metered: true,
            },
            public: TierDefaults {
                connections: 5,
                metered: true,
            },
        }
    }
}

impl Tiers {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            local: section.nested("local", |section| default.local.read(section)),
            paid: section.nested("paid", |section| default.paid.read(section)),
            public: section.nested("public", |section| default.public.read(section)),
        }
    }

    pub fn of(&self, tier: Tier) -> &TierDefaults {
        match tier {
            Tier::Local => &self.local,
            Tier::Paid => &self.paid,
            Tier::Public => &self.public,
        }
    }
}

/// Defaults for the upstreams of one tier.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct TierDefaults {
    /// Connections kept open to one upstream.
    pub connections: usize,
    /// Whether each call costs credits.
    pub metered: bool,
}

impl TierDefaults {
    fn read(&self, section: &mut Section<'_>) -> Self {
        Self {
            connections: section.within("connections", self.connections, 1..=10_000),
            metered: section.or("metered", self.metered),
        }
    }
}

words!(
    Tier,
    "local, paid or public",
    "local" => Self::Local,
    "paid" => Self::Paid,
    "public" => Self::Public,
);
