//! Plans: what consumers may do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use perijove_core::settings::serde_json::{Value, json};
use perijove_core::settings::{Section, Setting, Size, close, refuse_doubles, required_id, words};
use schemars::JsonSchema;

use super::{Network, OriginPattern, call_names};
use crate::jupiter::Product;
use crate::solana::Priority;

/// What each consumer of a plan may do.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Plan {
    /// Name; unique. The plan `default` applies to consumers that name none.
    pub id: String,
    /// Calls per minute, counting each call of a batch. `unlimited` for no limit.
    pub requests_per_minute: Option<u32>,
    /// Calls that may be made at once.
    pub burst: u32,
    /// Maximum number of concurrent requests.
    pub concurrent: Option<usize>,
    /// How long a call over the limit waits before it is refused with 429.
    pub queue: Duration,
    /// The class of all calls; by default it depends on the method.
    pub priority: Option<Priority>,
    /// Weight of a consumer where those of a class take turns: the number of its calls in a row.
    pub weight: u32,
    /// The highest class of its calls, whatever the header `x-priority` or the method says. By
    /// default `priority`; without that, none is out of reach.
    pub ceiling: Priority,
    /// Only these methods and products of Jupiter's API (`jupiter/quote`; `jupiter` is all); all if
    /// empty.
    pub allow: Vec<String>,
    /// Not these methods.
    pub deny: Vec<String>,
    /// Maximum number of calls in a batch.
    pub max_batch: Option<usize>,
    /// Weight of a call of these methods, if it is not 1.
    pub costs: BTreeMap<String, u32>,
    /// Bytes of answers per minute, and at once. An answer may exceed it; the next call then waits.
    pub answer_bytes_per_minute: Option<usize>,
    /// Concurrent WebSockets.
    pub sockets: Option<usize>,
    /// Concurrent subscriptions, on all its sockets together.
    pub subscriptions: Option<usize>,
    /// Only from these addresses; from all if empty.
    pub allow_addresses: Vec<Network>,
    /// Not from these addresses.
    pub deny_addresses: Vec<Network>,
    /// Only from pages of these origins, and only from pages; from everywhere if empty.
    pub allow_origins: Vec<OriginPattern>,
    /// Not from pages of these origins.
    pub deny_origins: Vec<OriginPattern>,
}

words!(
    Priority,
    "critical, high, medium, low or background",
    "critical" => Self::Critical,
    "high" => Self::High,
    "medium" => Self::Medium,
    "low" => Self::Low,
    "background" => Self::Background,
);

/// A number, or the word `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
struct PerMinute(Option<u32>);

impl Setting for PerMinute {
    const EXPECTED: &'static str = "a whole number or unlimited";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "unlimited" => Some(Self(None)),
            number => number.parse().ok().map(|number| Self(Some(number))),
        }
    }

    fn show(&self) -> Value {
        match self.0 {
            Some(number) => number.into(),
            None => "unlimited".into(),
        }
    }

    fn schema() -> Value {
        json!({ "type": ["integer", "string"] })
    }
}

/// The plan of consumers that name none.
pub const DEFAULT_PLAN: &str = "default";

impl Default for Plan {
    fn default() -> Self {
        Self {
            id: DEFAULT_PLAN.to_owned(),
            requests_per_minute: Some(1000),
            burst: 100,
            concurrent: None,
            queue: Duration::from_secs(1),
            priority: None,
            weight: 1,
            ceiling: Priority::Critical,
            allow: Vec::new(),
            deny: Vec::new(),
            max_batch: None,
            costs: BTreeMap::new(),
            answer_bytes_per_minute: None,
            sockets: None,
            subscriptions: None,
            allow_addresses: Vec::new(),
            deny_addresses: Vec::new(),
            allow_origins: Vec::new(),
            deny_origins: Vec::new(),
        }
    }
}

impl Plan {
    /// What to report about an id that is none of the plans'.
    pub(super) fn none_of(name: &str, plans: &[Self]) -> String {
        let ids: Vec<_> = plans.iter().map(|plan| plan.id.as_str()).collect();
        match close(name, &ids) {
            Some(close) => format!("is not the id of a plan; did you mean `{close}`?"),
            None => "is not the id of a plan; see `plans`".to_owned(),
        }
    }

    /// All plans, with the one named `default` even if it is not written.
    pub(super) fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut ids = Vec::new();
        let plans = section.sections("plans", |section| {
            let id = required_id(section);
            ids.push((section.at("id"), id.clone()));
            Self::read(section, id)
        });
        refuse_doubles(
            section,
            ids.iter().map(|(path, id)| (path.as_str(), id.as_ref())),
        );
        let mut plans: Vec<Self> = plans.into_iter().flatten().collect();
        if !plans.iter().any(|plan| plan.id == DEFAULT_PLAN) {
            plans.push(Self::default());
        }
        plans
    }

    fn read(section: &mut Section<'_>, id: Option<String>) -> Option<Self> {
        let default = Self::default();
        let PerMinute(requests_per_minute) = section.or(
            "requests_per_minute",
            PerMinute(default.requests_per_minute),
        );
        if requests_per_minute == Some(0) {
            section.violation(
                "requests_per_minute",
                "must be at least 1; `allow` and `deny` close methods",
            );
        }
        let burst = section.within("burst", default.burst, 1..=1_000_000);
        let max_batch = section.optional_within("max_batch", 1..=100_000);
        if requests_per_minute.is_some()
            && max_batch.is_some_and(|calls: usize| calls as u64 > u64::from(burst))
        {
            section.warn(
                "max_batch",
                "is above `burst`: a batch of more calls than that is never admitted",
            );
        }
        let priority = section.optional("priority");
        let bytes = Size::kib(1)..=Size::mib(1024 * 1024);
        let bytes = section.optional_within("answer_bytes_per_minute", bytes);
        let plan = Self {
            id: id.unwrap_or_default(),
            requests_per_minute,
            burst,
            costs: call_names::costs(section, burst, call_names::Of::Calls),
            answer_bytes_per_minute: bytes.map(|Size(bytes)| bytes),
            concurrent: section.optional_within("concurrent", 1..=1_000_000),
            queue: section.within(
                "queue",
                default.queue,
                Duration::ZERO..=Duration::from_secs(30),
            ),
            priority,
            weight: section.within("weight", default.weight, 1..=100),
            ceiling: section.or("ceiling", priority.unwrap_or(default.ceiling)),
            allow: call_names::call_names(section, "allow"),
            deny: call_names::call_names(section, "deny"),
            max_batch,
            sockets: section.optional_within("sockets", 0..=1_000_000),
            subscriptions: section.optional_within("subscriptions", 0..=100_000_000),
            allow_addresses: section.list_or("allow_addresses", Vec::new()),
            deny_addresses: section.list_or("deny_addresses", Vec::new()),
            allow_origins: section.list_or("allow_origins", Vec::new()),
            deny_origins: section.list_or("deny_origins", Vec::new()),
        };
        if plan
            .priority
            .is_some_and(|priority| priority > plan.ceiling)
        {
            section.violation("priority", "is above the ceiling of the plan");
        }
        (!plan.id.is_empty()).then_some(plan)
    }

    /// Whether its consumers may call this method.
    pub fn allows(&self, method: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == method);
        (self.allow.is_empty() || named(&self.allow)) && !named(&self.deny)
    }

    /// Whether its consumers may use this product of Jupiter's API: as `jupiter/quote` and the like
    /// it is in the same lists as methods, and `jupiter` is all of them.
    pub fn allows_product(&self, product: Product) -> bool {
        let named = |list: &[String]| list.iter().any(|name| call_names::means(name, product));
        (self.allow.is_empty() || named(&self.allow)) && !named(&self.deny)
    }

    /// Weight of a request for a product of Jupiter's API.
    pub fn cost_of_product(&self, product: Product) -> u32 {
        call_names::cost_of(&self.costs, product).unwrap_or(1)
    }

    /// Weight of a call of a method.
    pub fn cost(&self, method: &str) -> u32 {
        self.costs.get(method).copied().unwrap_or(1)
    }

    /// Whether its consumers may call from there.
    pub fn allows_address(&self, address: Option<IpAddr>) -> bool {
        let named = |list: &[Network]| {
            address.is_some_and(|address| list.iter().any(|network| network.contains(address)))
        };
        (self.allow_addresses.is_empty() || named(&self.allow_addresses))
            && !named(&self.deny_addresses)
    }

    /// Whether its consumers may call from pages of this origin, or without a page.
    pub fn allows_origin(&self, origin: Option<&[u8]>) -> bool {
        let named = |list: &[OriginPattern]| {
            origin.is_some_and(|origin| list.iter().any(|pattern| pattern.means(origin)))
        };
        (self.allow_origins.is_empty() || named(&self.allow_origins)) && !named(&self.deny_origins)
    }
}
