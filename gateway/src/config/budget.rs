//! What a provider sells.

use std::time::Duration;

use perijove_core::settings::{Section, words};
use schemars::JsonSchema;

/// Requests that an upstream may be sent. Everything counts: retries, hedges, probes. Calls go to
/// other upstreams when it is used up.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub struct Budget {
    /// So many in each `per`, spread evenly over it.
    pub requests: u64,
    pub per: Per,
    /// So many of them at once.
    pub burst: u32,
    /// The share of the burst that only calls of the classes high and critical may use, in percent.
    pub reserve: u32,
}

/// The time of a budget.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
#[schemars(rename_all = "snake_case")]
pub enum Per {
    Second,
    Minute,
    Hour,
    Day,
    /// Of 30 days.
    Month,
}

words!(
    Per,
    "second, minute, hour, day or month",
    "second" => Self::Second,
    "minute" => Self::Minute,
    "hour" => Self::Hour,
    "day" => Self::Day,
    "month" => Self::Month,
);

impl Per {
    /// As it is written.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    pub const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
            Self::Month => Duration::from_hours(30 * 24),
        }
    }
}

/// Providers whose figures are known.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
#[schemars(rename_all = "snake_case")]
pub enum Provider {
    Helius,
    Jupiter,
    Orca,
    Raydium,
    /// Any other RPC provider.
    Rpc,
}

words!(
    Provider,
    "helius, jupiter, orca, raydium or rpc",
    "helius" => Self::Helius,
    "jupiter" => Self::Jupiter,
    "orca" => Self::Orca,
    "raydium" => Self::Raydium,
    "rpc" => Self::Rpc,
);

impl Provider {
    /// Cautious figures: what a small plan allows for long.
    const fn budget(self) -> Budget {
        let (requests, burst) = match self {
            Self::Helius => (3000, 15),
            Self::Jupiter => (1200, 5),
            Self::Orca => (3600, 15),
            Self::Raydium => (2400, 10),
            Self::Rpc => (1800, 10),
        };
        Budget {
            requests,
            per: Per::Hour,
            burst,
            reserve: 0,
        }
    }
}

impl Budget {
    /// `provider` sets what `budget` does not say; with neither there is no budget.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let provider: Option<Provider> = section.optional("provider");
        let written = section.has("budget");
        let preset = provider.map(Provider::budget);
        let read = section.nested("budget", |section| {
            let requests = match preset {
                Some(preset) => section.or("requests", preset.requests),
                None if written => section.required("requests").unwrap_or(1),
                None => 1,
            };
            if requests == 0 {
                section.violation("requests", "must be at least 1");
            }
            let preset = preset.unwrap_or(Self {
                requests,
                per: Per::Hour,
                burst: 10,
                reserve: 0,
            });
            Self {
                requests,
                per: section.or("per", preset.per),
                burst: section.within("burst", preset.burst, 1..=100_000),
                reserve: section.within("reserve", preset.reserve, 0..=90),
            }
        });
        (written || provider.is_some()).then_some(read)
    }
}
