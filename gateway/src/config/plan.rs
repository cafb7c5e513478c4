//! Plans: what consumers may do.

use std::time::Duration;

use perijove_core::settings::serde_json::{Value, json};
use perijove_core::settings::{Section, Setting, refuse_doubles, required_id, words};
use schemars::JsonSchema;

use super::methods::method_names;
use crate::solana::Priority;

/// What the consumers of a plan may do, each of them.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Plan {
    /// Name; unique. The plan `default` is that of consumers who name none.
    pub id: String,
    /// Calls a minute, those of batches counted one by one. `unlimited` for no limit.
    pub requests_per_minute: Option<u32>,
    /// So many of them at once.
    pub burst: u32,
    /// Requests that may run at once.
    pub concurrent: Option<usize>,
    /// How long a call over the limit waits for its turn before it is refused with 429.
    pub queue: Duration,
    /// The class of all calls; by method where it is not given.
    pub priority: Option<Priority>,
    /// The highest class that the `x-priority` header may ask for.
    pub ceiling: Priority,
    /// Only these methods; all where it is empty.
    pub allow: Vec<String>,
    /// Not these methods.
    pub deny: Vec<String>,
    /// Most calls of a batch.
    pub max_batch: Option<usize>,
    /// WebSockets that may be open at once.
    pub sockets: Option<usize>,
    /// Subscriptions on all of them together.
    pub subscriptions: Option<usize>,
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

/// The plan of consumers who name none.
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
            ceiling: Priority::Critical,
            allow: Vec::new(),
            deny: Vec::new(),
            max_batch: None,
            sockets: None,
            subscriptions: None,
        }
    }
}

impl Plan {
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
        let plan = Self {
            id: id.unwrap_or_default(),
            requests_per_minute,
            burst: section.within("burst", default.burst, 1..=1_000_000),
            concurrent: section.optional_within("concurrent", 1..=1_000_000),
            queue: section.within(
                "queue",
                default.queue,
                Duration::ZERO..=Duration::from_secs(30),
            ),
            priority: section.optional("priority"),
            ceiling: section.or("ceiling", default.ceiling),
            allow: method_names(section, "allow"),
            deny: method_names(section, "deny"),
            max_batch: section.optional_within("max_batch", 1..=100_000),
            sockets: section.optional_within("sockets", 0..=1_000_000),
            subscriptions: section.optional_within("subscriptions", 0..=100_000_000),
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
}
