//! Reads upstreams from the file: tier defaults, switches, and contradictions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use perijove_core::Secret;
use perijove_core::settings::{Section, is_name, pem_file, refuse_doubles, required_id};
use schemars::Schema;
use serde_json::{Value, json};

use crate::config::methods::method_names;
use crate::config::own_addresses::OwnAddresses;
use crate::config::{
    BudgetSettings, HttpVersion, ProbeSettings, Propagate, Tier, Tiers, Timeouts, UpstreamSettings,
    UpstreamTls, UpstreamUrl, WsUrl,
};

/// Headers the gateway sets itself.
const OWN_HEADERS: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl UpstreamSettings {
    /// All upstreams that are switched on.
    pub(in crate::config) fn read_all(
        section: &mut Section<'_>,
        tiers: &Tiers,
        own: &OwnAddresses,
    ) -> Vec<Self> {
        let mut ids = Vec::new();
        let read = section.sections("upstreams", |section| {
            let id = required_id(section);
            ids.push((section.at("id"), id.clone()));
            let on = is_on(section);
            section.forgive_unset(!on);
            let upstream = Self::read(section, id, tiers);
            if let Some(upstream) = upstream.as_ref().filter(|_| on) {
                own.refuse(section, &section.at("url"), &upstream.url);
            }
            section.forgive_unset(false);
            (on, upstream)
        });
        refuse_doubles(
            section,
            ids.iter().map(|(path, id)| (path.as_str(), id.as_ref())),
        );
        if section.is_empty_list("upstreams") {
            section.violation("upstreams", "needs at least one upstream");
        } else if !read.is_empty() && read.iter().all(|(on, _)| !on) {
            section.violation("upstreams", "every upstream is switched off");
        }
        read.into_iter()
            .filter(|(on, _)| *on)
            .filter_map(|(_, upstream)| upstream)
            .collect()
    }

    /// Reads every key even if some are invalid, so that all errors are reported.
    fn read(section: &mut Section<'_>, id: Option<String>, tiers: &Tiers) -> Option<Self> {
        let url = read_url(section);
        let ws_url = read_ws_url(section);
        let tier: Option<Tier> = section.required("tier");
        let of_tier = tiers.of(tier.unwrap_or(Tier::Public));
        let weight = section.within("weight", 1, 1..=1000);
        let headers = read_headers(section);
        let metered = section.optional("metered").unwrap_or(of_tier.metered);
        let budget = BudgetSettings::read(section);
        let timeouts = section.nested("timeouts", Timeouts::read);
        let http = section.or("http", HttpVersion::default());
        let connections = section.optional_within("connections", 1..=10_000);
        let connections = connections.unwrap_or(of_tier.connections);
        let connections_ceiling = read_ceiling(section, connections);
        let adaptive_concurrency = section.or("adaptive_concurrency", false);
        let hour = Duration::from_secs(1)..=Duration::from_hours(1);
        let idle_timeout = section.within("idle_timeout", Self::IDLE_TIMEOUT, hour.clone());
        let tls = section.nested("tls", UpstreamTls::read);
        if section.has("tls") && url.as_ref().is_some_and(|url| !url.is_tls()) {
            section.violation("tls", "has no effect on an http:// URL");
        }
        let dns_refresh = section.within("dns_refresh", Self::DNS_REFRESH, hour);
        let allow = method_names(section, "allow");
        let deny = method_names(section, "deny");
        for (index, method) in deny.iter().enumerate() {
            if allow.contains(method) {
                section.violation(&format!("deny[{index}]"), "is also in allow");
            }
        }
        let capabilities = section.optional_list("capabilities");
        let probe = section.nested("probe", |section| ProbeSettings::read(section, metered));
        let is_set = |name: &str| headers.contains_key(name);
        let propagate = section.nested("propagate", |section| Propagate::read(section, is_set));
        Some(Self {
            id: id?,
            url: url?,
            ws_url,
            tier: tier?,
            weight,
            headers,
            budget,
            metered,
            timeouts,
            http,
            connections,
            connections_ceiling,
            adaptive_concurrency,
            idle_timeout,
            tls,
            dns_refresh,
            allow,
            deny,
            capabilities,
            probe,
            propagate,
        })
    }
}

/// The keys that are not in [`UpstreamSettings`], because they have taken effect before it exists.
pub(in crate::config) fn add_switches(schema: &mut Schema) {
    for (key, description) in [
        ("enabled", "Whether the upstream is used at all."),
        (
            "provider",
            "A provider whose figures are known; they are the budget where it says nothing else.",
        ),
        (
            "when_env",
            "Name of an environment variable; while it is unset or empty the upstream is left out, \
             and the variables it refers to need not be set.",
        ),
    ] {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(key.to_owned(), json!({ "description": description }));
        }
    }
}

/// Whether the upstream is to be used at all.
pub(in crate::config) fn is_on(section: &mut Section<'_>) -> bool {
    let enabled = section.or("enabled", true);
    let Some(variable) = section.optional::<String>("when_env") else {
        return enabled;
    };
    if !is_name(&variable) {
        section.violation("when_env", "must be the name of an environment variable");
        return enabled;
    }
    let set = section.is_set(&variable);
    if enabled && !set {
        section.warn(
            "when_env",
            format_args!("{variable} is not set; the upstream is left out"),
        );
    }
    enabled && set
}

/// The default is raised to the number of kept connections; an explicit value must not be below it.
fn read_ceiling(section: &mut Section<'_>, kept: usize) -> usize {
    let default = UpstreamSettings::CONNECTIONS_CEILING;
    let ceiling = section.within("connections_ceiling", default, 1..=65_536);
    if section.has("connections_ceiling") && ceiling < kept {
        section.violation("connections_ceiling", "must not be below connections");
    }
    ceiling.max(kept)
}

pub(in crate::config) fn read_url(section: &mut Section<'_>) -> Option<UpstreamUrl> {
    let text: String = section.required("url")?;
    section.doubt_references("url", &text);
    match UpstreamUrl::parse(&text) {
        Ok(url) => Some(url),
        Err(fault) => {
            section.violation("url", fault);
            None
        }
    }
}

fn read_ws_url(section: &mut Section<'_>) -> Option<WsUrl> {
    let text: String = section.optional("ws_url")?;
    section.doubt_references("ws_url", &text);
    match WsUrl::parse(&text) {
        Ok(url) => Some(url),
        Err(fault) => {
            section.violation("ws_url", fault);
            None
        }
    }
}

fn read_headers(section: &mut Section<'_>) -> BTreeMap<String, Secret> {
    let mut headers = BTreeMap::new();
    for (path, name, value) in section.named_secrets("headers") {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            section.violation_at(&path, "is not the name of a header");
            continue;
        };
        if OWN_HEADERS.contains(&name.as_str()) {
            section.violation_at(&path, "is set by the gateway itself");
        } else if HeaderValue::from_str(value.expose()).is_err() {
            section.violation_at(
                &path,
                "cannot be sent: it contains a line break or another control character",
            );
        } else if headers.insert(name.as_str().to_owned(), value).is_some() {
            section.violation_at(&path, "occurs twice, in upper and lower case");
        }
    }
    headers
}

impl Timeouts {
    fn read(section: &mut Section<'_>) -> Self {
        Self::read_with(section, &Self::default())
    }

    /// For upstreams with other default timeouts than RPC.
    pub(in crate::config) fn read_with(section: &mut Section<'_>, default: &Self) -> Self {
        let long = Duration::from_millis(1)..=Duration::from_mins(10);
        let timeouts = Self {
            connect: section.within("connect", default.connect, long.clone()),
            write: section.within("write", default.write, long.clone()),
            first_byte: section.within("first_byte", default.first_byte, long.clone()),
            first_byte_heavy: section.within(
                "first_byte_heavy",
                default.first_byte_heavy,
                long.clone(),
            ),
            progress: section.within("progress", default.progress, long.clone()),
            total: section.within("total", default.total, long),
        };
        // A default is cut to a shorter total; an explicit value must not exceed it.
        for (key, step) in [
            ("connect", timeouts.connect),
            ("write", timeouts.write),
            ("first_byte", timeouts.first_byte),
            ("first_byte_heavy", timeouts.first_byte_heavy),
            ("progress", timeouts.progress),
        ] {
            if section.has(key) && step > timeouts.total {
                section.violation(key, "must not be above total");
            }
        }
        Self {
            connect: timeouts.connect.min(timeouts.total),
            write: timeouts.write.min(timeouts.total),
            first_byte: timeouts.first_byte.min(timeouts.total),
            first_byte_heavy: timeouts.first_byte_heavy.min(timeouts.total),
            progress: timeouts.progress.min(timeouts.total),
            total: timeouts.total,
        }
    }
}

impl UpstreamTls {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Self {
        let sni: Option<String> = section.optional("sni");
        if sni.as_ref().is_some_and(|name| !is_server_name(name)) {
            section.violation("sni", "must be a host name");
        }
        let verify = section.or("verify", true);
        if !verify {
            section.warn(
                "verify",
                "is false: anybody on the network path can read and change the traffic",
            );
        }
        let ca: Option<PathBuf> = section.optional("ca");
        if ca.is_some() && !verify {
            section.violation("ca", "has no effect while verify is false");
        }
        let ca = ca.and_then(|file| pem_file(section, "ca", &file, "CERTIFICATE"));
        Self { sni, verify, ca }
    }
}

fn is_server_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl ProbeSettings {
    fn read(section: &mut Section<'_>, metered: bool) -> Self {
        let interval = if metered {
            Self::METERED_INTERVAL
        } else {
            Self::INTERVAL
        };
        let bounds = Duration::from_millis(50)..=Duration::from_hours(1);
        Self {
            interval: section
                .optional_within("interval", bounds)
                .unwrap_or(interval),
            timeout: section.within(
                "timeout",
                Self::default().timeout,
                Duration::from_millis(10)..=Duration::from_mins(1),
            ),
        }
    }
}
