//! Budgets of upstreams: what a provider sells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perijove_core::settings::{Section, required_name, words};
use schemars::JsonSchema;

use super::budget_file::look_at_budget_file;
use super::call_names::{self, Of};
use super::methods::method_names;

/// Percentage of a budget that probes may use.
pub const PROBE_SHARE: u64 = 10;

/// Requests that an upstream may be sent. Everything counts: retries, hedges, probes. Calls go to
/// other upstreams when it is used up.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct BudgetSettings {
    #[schemars(flatten)]
    pub rate: BudgetRate,
    /// Weight of a call of these methods, if it is not 1: the provider's credits.
    pub costs: BTreeMap<String, u32>,
    /// Methods that also have a budget of their own.
    pub groups: Vec<BudgetGroup>,
    /// Upstreams with the same name here share one budget, like the keys of one organisation.
    pub organisation: Option<String>,
}

/// A number of requests per unit of time.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub struct BudgetRate {
    /// Requests per `per`, spread evenly over it.
    pub requests: u64,
    /// Unit of time: `second`, `minute`, `hour`, `day`, or `month` of 30 days.
    pub per: Per,
    /// Requests that may be sent at once.
    pub burst: u32,
    /// Percentage of the burst that is reserved for calls of the classes high and critical.
    pub reserve: u32,
    /// Whether any span of length `per` is limited to `requests`. Otherwise it may contain the
    /// burst in addition.
    pub sliding: bool,
}

/// Methods with a budget.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct BudgetGroup {
    /// They also count against the budget of the upstream.
    pub methods: Vec<String>,
    #[schemars(flatten)]
    pub rate: BudgetRate,
}

/// Settings of all budgets.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct Budgets {
    /// Whether gateways with the same `cache.redis` share their budgets.
    pub shared: bool,
    /// A file that keeps what is used up across restarts.
    pub file: Option<PathBuf>,
}

impl Budgets {
    pub(super) fn read(
        section: &mut Section<'_>,
        has_redis: bool,
        keys_file: Option<&Path>,
    ) -> Self {
        section.nested("budgets", |section| {
            Self::read_in(section, has_redis, keys_file)
        })
    }

    fn read_in(section: &mut Section<'_>, has_redis: bool, keys_file: Option<&Path>) -> Self {
        let shared = section.or("shared", false);
        if shared && !has_redis {
            section.violation("shared", "needs cache.redis");
        }
        let file: Option<PathBuf> = section.optional("file");
        if let Some(file) = &file {
            look_at_budget_file(section, file, keys_file);
        }
        Self {
            shared,
            file: file.map(|file| section.resolve(&file)),
        }
    }
}

impl BudgetRate {
    /// Nanoseconds in which one request is earned.
    pub fn interval_nanos(&self) -> u64 {
        let burst = if self.sliding {
            u64::from(self.burst)
        } else {
            0
        };
        let requests = self.requests.saturating_sub(burst).max(1);
        let nanos = self
            .per
            .duration()
            .as_nanos()
            .div_ceil(u128::from(requests));
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
    }

    fn read(section: &mut Section<'_>, preset: Option<Self>, needed: bool) -> Self {
        let requests = match preset {
            Some(preset) => section.or("requests", preset.requests),
            None if needed => section.required("requests").unwrap_or(1),
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
            sliding: false,
        });
        let rate = Self {
            requests,
            per: section.or("per", preset.per),
            burst: section.within("burst", preset.burst, 1..=1_000_000_000),
            reserve: section.within("reserve", preset.reserve, 0..=90),
            sliding: section.or("sliding", preset.sliding),
        };
        if rate.sliding && u64::from(rate.burst) >= rate.requests {
            section.violation(
                "burst",
                "must be below requests where the budget is sliding",
            );
        }
        rate
    }
}

/// The unit of time of a budget.
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
    /// As written in the file.
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

/// Providers with known limits.
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
    /// Conservative limits: what a small plan allows continuously.
    const fn budget(self) -> BudgetRate {
        let (requests, burst) = match self {
            Self::Helius => (3000, 15),
            Self::Jupiter => (1200, 5),
            Self::Orca => (3600, 15),
            Self::Raydium => (2400, 10),
            Self::Rpc => (1800, 10),
        };
        BudgetRate {
            requests,
            per: Per::Hour,
            burst,
            reserve: 0,
            sliding: false,
        }
    }
}

impl BudgetSettings {
    /// `provider` supplies what `budget` leaves out; with neither there is no budget.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        Self::read_with(section, |section, rate| {
            let costs = call_names::costs(section, rate.burst, Of::Methods);
            let groups = section.sections("groups", |section| {
                let methods = method_names(section, "methods");
                if methods.is_empty() {
                    section.violation("methods", "needs at least one method");
                }
                BudgetGroup {
                    methods,
                    rate: BudgetRate::read(section, None, true),
                }
            });
            Self {
                rate,
                costs,
                groups,
                organisation: read_organisation(section),
            }
        })
    }

    /// The same for an API that has no methods.
    pub(super) fn read_rate(section: &mut Section<'_>) -> Option<Self> {
        Self::read_with(section, |_section, rate| Self {
            rate,
            costs: BTreeMap::new(),
            groups: Vec::new(),
            organisation: None,
        })
    }

    fn read_with(
        section: &mut Section<'_>,
        rest: impl FnOnce(&mut Section<'_>, BudgetRate) -> Self,
    ) -> Option<Self> {
        let provider: Option<Provider> = section.optional("provider");
        let written = section.has("budget");
        let preset = provider.map(Provider::budget);
        let read = section.nested("budget", |section| {
            let rate = BudgetRate::read(section, preset, written);
            rest(section, rate)
        });
        (written || provider.is_some()).then_some(read)
    }
}

fn read_organisation(section: &mut Section<'_>) -> Option<String> {
    if section.has("organisation") {
        return required_name(section, "organisation");
    }
    section.optional("organisation")
}
