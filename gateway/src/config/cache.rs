//! Which answers are kept, and for how long at most.

use std::collections::BTreeMap;
use std::time::Duration;

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

use crate::config::Redis;
use crate::config::limits::size;
use crate::solana::{DefaultRetention, Method};

/// The largest entry is at most this part of the memory: a shard holds several of them.
const LARGEST_SHARE: usize = 128;

/// Lifetimes above an epoch have no meaning.
const EPOCH: u32 = 432_000;

/// Kept answers. How long each is valid depends on its method; the settings here shorten that.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the file, each read on its own"
)]
pub struct Cache {
    /// Whether answers are kept, and identical calls joined, at all.
    pub enabled: bool,
    /// Bytes of memory for answers. A lower value takes effect at once.
    pub memory: usize,
    /// Answers of more bytes are not kept. At most a 128th of `memory`.
    pub max_entry: usize,
    /// For how many slots after it expired an answer is served while a fresh one is fetched.
    pub stale_while_revalidate: u64,
    /// For how many slots after it expired an answer is served when every upstream fails.
    pub stale_if_error: u64,
    /// Whether `methods` may lengthen lifetimes beyond their defaults.
    pub allow_looser: bool,
    /// Lifetimes by method.
    #[schemars(
        with = "BTreeMap<String, MethodRule>",
        extend("propertyNames" = { "enum": Method::ALL.map(Method::label).as_slice() })
    )]
    pub methods: BTreeMap<Method, MethodRule>,
    /// Whether one answer to `getMultipleAccounts` may hold accounts read at different slots.
    pub mix_account_slots: bool,
    /// Whether identical calls in flight share one call to an upstream.
    pub coalesce: bool,
    /// Accounts that are read often and therefore subscribed to.
    pub hot_accounts: HotAccounts,
    /// A second cache behind the memory, shared with other gateways. None by default.
    pub redis: Option<Redis>,
}

/// Which accounts are subscribed to because they are read often.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub struct HotAccounts {
    /// Maximum number of such accounts; 0 for none.
    pub most: usize,
    /// Reads in a window that make an account one of them. It remains one until there are fewer
    /// than half.
    pub reads: u32,
    /// The time over which reads are counted.
    pub window: Duration,
}

impl Default for HotAccounts {
    fn default() -> Self {
        Self {
            most: 0,
            reads: 20,
            window: Duration::from_secs(10),
        }
    }
}

impl HotAccounts {
    fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            most: section.within("most", default.most, 0..=100_000),
            reads: section.within("reads", default.reads, 1..=1_000_000),
            window: section.within(
                "window",
                default.window,
                Duration::from_millis(100)..=Duration::from_mins(10),
            ),
        }
    }
}

/// How one method differs from its default.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct MethodRule {
    /// Maximum number of slots for which an answer is served, including the one it was read at; 0
    /// for not at all.
    pub slots: Option<u32>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            memory: 256 * 1024 * 1024,
            max_entry: 1024 * 1024,
            stale_while_revalidate: 0,
            stale_if_error: 4,
            allow_looser: false,
            methods: BTreeMap::new(),
            mix_account_slots: false,
            coalesce: true,
            hot_accounts: HotAccounts::default(),
            redis: None,
        }
    }
}

impl Cache {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let enabled = section.or("enabled", default.enabled);
        let memory = size(
            section,
            "memory",
            default.memory,
            Size::mib(1)..=Size::mib(1024 * 1024),
        );
        let max_entry = size(
            section,
            "max_entry",
            default.max_entry,
            Size::kib(1)..=Size::mib(64),
        );
        if max_entry > memory / LARGEST_SHARE && section.has("max_entry") {
            section.violation(
                "max_entry",
                format_args!("must not be above a {LARGEST_SHARE}th of memory"),
            );
        }
        let stale = 0..=1000;
        let stale_while_revalidate = section.within(
            "stale_while_revalidate",
            default.stale_while_revalidate,
            stale.clone(),
        );
        let stale_if_error = section.within("stale_if_error", default.stale_if_error, stale);
        let allow_looser = section.or("allow_looser", default.allow_looser);
        Self {
            enabled,
            memory,
            max_entry: max_entry.min(memory / LARGEST_SHARE),
            stale_while_revalidate,
            stale_if_error,
            allow_looser,
            methods: read_methods(section, allow_looser),
            mix_account_slots: section.or("mix_account_slots", default.mix_account_slots),
            coalesce: section.or("coalesce", default.coalesce),
            hot_accounts: section.nested("hot_accounts", HotAccounts::read),
            redis: Redis::read_from(section),
        }
    }
}

fn read_methods(section: &mut Section<'_>, allow_looser: bool) -> BTreeMap<Method, MethodRule> {
    let names = Method::ALL.map(Method::label);
    let rules = section.named_sections("methods", &names, |name, section| {
        let method = Method::from_name(name);
        (method, MethodRule::read(section, method, allow_looser))
    });
    rules
        .into_iter()
        .filter(|(method, _)| *method != Method::Other)
        .collect()
}

impl MethodRule {
    fn read(section: &mut Section<'_>, method: Method, allow_looser: bool) -> Self {
        let slots = section.optional_within("slots", 0..=EPOCH);
        match (DefaultRetention::of(method), slots) {
            (DefaultRetention::Never, Some(1..)) => section.violation(
                "slots",
                format_args!("must be 0: {} is never kept", method.label()),
            ),
            (DefaultRetention::Slots(usual), Some(slots)) if slots > usual && !allow_looser => {
                section.violation(
                    "slots",
                    format_args!("is above the default of {usual}, which needs cache.allow_looser"),
                );
            }
            _ => {}
        }
        Self { slots }
    }
}
