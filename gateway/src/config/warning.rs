//! Warnings: settings that are valid but probably not intended.

mod bursts;
mod jupiter_urls;
mod probes;

use perijove_core::settings::{Reading, levenshtein};

use crate::config::{Config, DEFAULT_PLAN, Plan, Tier, Timeouts, UpstreamSettings};
use crate::solana::{self, Capability, Method};

/// Adds a warning for each doubt about a valid configuration.
pub(super) fn look_for_doubts(config: &Config, reading: &Reading<'_>) {
    if let [only] = config.upstreams.as_slice() {
        reading.warn(
            "upstreams",
            format_args!(
                "{} is the only upstream; nothing takes over when it fails",
                only.id
            ),
        );
    }
    if !config
        .upstreams
        .iter()
        .any(|upstream| upstream.tier == Tier::Local)
    {
        reading.warn(
            "upstreams",
            "no upstream is in tier local; every call goes over the Internet",
        );
    }
    if !config.upstreams.iter().any(reaches_back) {
        reading.warn(
            "upstreams",
            "no upstream has old history; blocks and transactions that a local node has pruned are \
             not found (paid and public ones count as archives, others with capabilities: \
             [archive])",
        );
    }
    look_for_ordinary_calls(config, reading);
    look_for_capabilities(config, reading);
    look_for_doubles(config, reading);
    look_at_methods("methods.deny", &config.methods.deny, reading);
    look_at_methods("methods.read", &config.methods.read, reading);
    for upstream in &config.upstreams {
        look_at(upstream, config, reading);
    }
    probes::look_at_probes(config, reading);
    jupiter_urls::look_at_urls(config, reading);
    let mut jupiter = config.jupiter.upstreams.iter();
    let has_budget = config.upstreams.iter().any(|one| one.budget.is_some())
        || jupiter.any(|one| one.budget.is_some());
    if config.budgets.file.is_some() && !has_budget {
        reading.warn("budgets.file", "keeps nothing: no upstream has a budget");
    }
    look_at_plans(config, reading);
    bursts::look_at_bursts(config, reading);
    look_at_certificates(config, reading);
    look_at_redis(config, reading);
    if config.anonymous && config.has_keys() {
        reading.warn("anonymous", "callers without a key are served as well");
    }
    look_at_admin(config, reading);
}

/// What others can do at the admin port.
fn look_at_admin(config: &Config, reading: &Reading<'_>) {
    if let Some(address) = config.admin.exposed() {
        reading.warn(
            "admin.listen",
            format_args!(
                "{address} can be reached from other machines, where anybody can read the status \
                 and reload; set admin.token or admin.tls.client_ca, or listen on 127.0.0.1, unless \
                 the network lets only operators in"
            ),
        );
    }
    if let Some(address) = config.admin.tells_token() {
        reading.warn(
            "admin.token",
            format_args!(
                "is sent in cleartext to {address}; set admin.tls, unless nobody else can read the \
                 network"
            ),
        );
    }
}

/// Names in plans that are probably wrong, and plans that apply to nobody.
fn look_at_plans(config: &Config, reading: &Reading<'_>) {
    let mut used: Vec<&str> = config
        .consumers
        .iter()
        .map(|one| one.plan.as_str())
        .collect();
    used.extend(config.anonymous_plan.as_deref());
    if config.anonymous_plan.is_some() && !config.anonymous {
        reading.warn(
            "anonymous_plan",
            "applies to nobody: callers without a key are refused; set anonymous: true, or leave it out",
        );
    }
    // Keys that are yet to be made, and tokens, may name any.
    let open = config.keys_file.is_some() || config.jwt.is_some();
    for plan in &config.plans {
        let path = format!("plans.{}", plan.id);
        look_at_methods(&format!("{path}.allow"), &plan.allow, reading);
        look_at_methods(&format!("{path}.deny"), &plan.deny, reading);
        let costs: Vec<String> = plan.costs.keys().cloned().collect();
        look_at_methods(&format!("{path}.costs"), &costs, reading);
        // There is always one named `default`, also where nobody wrote it.
        let written = plan.id != DEFAULT_PLAN || *plan != Plan::default();
        if written && !open && !used.contains(&plan.id.as_str()) {
            reading.warn(
                path,
                "applies to nobody: no consumer names it, nor does anonymous_plan",
            );
        }
    }
}

/// Consumers whose certificates nobody asks for.
fn look_at_certificates(config: &Config, reading: &Reading<'_>) {
    let asks = config.listen.tls.iter().any(|one| one.client_ca.is_some());
    if asks {
        return;
    }
    for consumer in &config.consumers {
        if !consumer.certificates.is_empty() {
            reading.warn(
                format_args!("consumers.{}.certificates", consumer.id),
                "no listener asks clients for certificates; set client_ca in listen.tls",
            );
        }
    }
}

/// Unencrypted connections to the shared cache.
fn look_at_redis(config: &Config, reading: &Reading<'_>) {
    if let Some(redis) = &config.cache.redis
        && let Some(open) = redis
            .urls
            .iter()
            .find(|url| !url.is_tls() && !url.is_nearby())
    {
        let has_login = redis.password.is_some() || open.has_credentials();
        reading.warn(
            "cache.redis",
            if has_login {
                "sends password and answers unencrypted over redis://"
            } else {
                "sends answers unencrypted over redis://, where others can change them"
            },
        );
    }
}

/// Calls that no upstream may be sent are refused, however healthy the upstreams are.
fn look_for_ordinary_calls(config: &Config, reading: &Reading<'_>) {
    let may = |upstream: &UpstreamSettings, method: &String| {
        (upstream.allow.is_empty() || upstream.allow.contains(method))
            && !upstream.deny.contains(method)
    };
    let methods = &config.health.ready_for;
    let served = |method: &String| {
        config
            .upstreams
            .iter()
            .any(|upstream| may(upstream, method))
    };
    if !methods.iter().any(served) {
        reading.warn(
            "upstreams",
            format_args!(
                "no upstream may be sent {}: such calls are refused and /ready says 503; see allow, \
                 deny and health.ready_for",
                methods.join(", ")
            ),
        );
    } else if let Some(lost) = methods.iter().find(|method| !served(method)) {
        reading.warn(
            "upstreams",
            format_args!(
                "no upstream may be sent {lost}: such calls are refused; see allow and deny"
            ),
        );
    }
}

/// Capabilities that no upstream has.
fn look_for_capabilities(config: &Config, reading: &Reading<'_>) {
    for (capability, calls) in [
        (Capability::FullApi, "most calls"),
        (Capability::History, "calls for transactions and blocks"),
        (Capability::Index, "scans such as getProgramAccounts"),
    ] {
        let has = |upstream: &UpstreamSettings| {
            let named = upstream.capabilities.as_deref();
            named.is_none_or(|named| capability.is_granted_by(named))
        };
        if !config.upstreams.iter().any(has) {
            reading.warn(
                "upstreams",
                format_args!(
                    "no upstream has the capability {}, which {calls} need",
                    capability.label()
                ),
            );
        }
    }
}

/// The same endpoint under two names fails under both at once.
fn look_for_doubles(config: &Config, reading: &Reading<'_>) {
    for (place, upstream) in config.upstreams.iter().enumerate() {
        let before = config.upstreams.iter().take(place);
        let same = |other: &&UpstreamSettings| {
            other.url == upstream.url && other.headers == upstream.headers
        };
        if let Some(other) = before.into_iter().find(same) {
            reading.warn(
                format_args!("upstreams.{}", upstream.id),
                format_args!(
                    "has the same URL as {}: a single upstream that counts as two, and fails as \
                     both",
                    other.id
                ),
            );
        }
    }
}

/// Whether an upstream is believed to keep what local nodes have pruned.
fn reaches_back(upstream: &UpstreamSettings) -> bool {
    match &upstream.capabilities {
        Some(capabilities) => capabilities.contains(&Capability::Archive),
        None => upstream.tier != Tier::Local,
    }
}

fn look_at(upstream: &UpstreamSettings, config: &Config, reading: &Reading<'_>) {
    let path = format_args!("upstreams.{}", upstream.id).to_string();
    let has_key = upstream.url.has_secret_part() || !upstream.headers.is_empty();
    if has_key && !upstream.url.is_tls() && !upstream.url.is_nearby() {
        reading.warn(&path, "sends its key unencrypted over http://");
    }
    if upstream.tier == Tier::Local && upstream.url.is_public() {
        reading.warn(
            &path,
            "is in tier local, but its address is not in a local network",
        );
    }
    look_at_methods(&format!("{path}.allow"), &upstream.allow, reading);
    look_at_methods(&format!("{path}.deny"), &upstream.deny, reading);
    if let Some(budget) = &upstream.budget {
        let costs: Vec<String> = budget.costs.keys().cloned().collect();
        look_at_methods(&format!("{path}.budget.costs"), &costs, reading);
        for group in &budget.groups {
            look_at_methods(&format!("{path}.budget.groups"), &group.methods, reading);
        }
    }
    // A default is shortened without a warning.
    let written = upstream.timeouts.total != Timeouts::default().total;
    if written && upstream.timeouts.total > config.limits.request_timeout {
        reading.warn(
            &path,
            "timeouts.total is above limits.request_timeout, which ends the request first",
        );
    }
}

/// Providers have methods of their own, so an unknown name is fine; one that is a letter or two
/// away from a known one probably is not.
fn look_at_methods(path: &str, methods: &[String], reading: &Reading<'_>) {
    for method in methods
        .iter()
        .filter(|name| solana::classify(name, None).method.is_foreign())
        .filter(|name| solana::classify(name, None).method != Method::Extension)
    {
        let known = Method::ALL.iter().filter_map(|known| known.name());
        if let Some(close) = known
            .into_iter()
            .find(|known| levenshtein(method, known) <= 2)
        {
            reading.warn(
                path,
                format_args!("{method} is unknown; did you mean {close}?"),
            );
        }
    }
}
