//! One upstream of Jupiter's API.

use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::{Section, refuse_doubles, required_id, words};
use schemars::JsonSchema;

use crate::config::upstream::{is_on, read_url};
use crate::config::{
    BudgetSettings, HttpVersion, Propagate, Tier, Timeouts, UpstreamSettings, UpstreamTls,
    UpstreamUrl,
};

/// As for upstreams of RPC.
const IDLE_TIMEOUT: Duration = UpstreamSettings::IDLE_TIMEOUT;

/// The header that Jupiter expects keys in.
const KEY_HEADER: &str = "x-api-key";

/// An endpoint that answers Jupiter's API, or a part of it.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
#[schemars(transform = crate::config::upstream::add_switches)]
pub struct JupiterUpstream {
    /// Name in metrics, logs and the header `x-perijove-upstream`; unique among them.
    pub id: String,
    /// `http://` or `https://`; a path in it precedes all others.
    pub url: UpstreamUrl,
    /// Which parts of the API it serves, and under which paths.
    pub kind: JupiterKind,
    /// Paths of an upstream of kind `other`; it does not serve the parts that are left out.
    pub paths: JupiterPaths,
    /// `local` before `paid` before `public`. Defaults to `local` for one of kind `self-hosted`, else
    /// to `paid`.
    pub tier: Tier,
    /// Weight among the upstreams of its tier; at least 1.
    pub weight: u32,
    /// The key, sent with every request. Without it none is sent.
    pub key: Option<Secret>,
    /// The organisation that owns the key. Upstreams of one organisation share a budget, and
    /// hold-offs after a rate limit: Jupiter counts requests by organisation, whatever the key.
    pub organisation: Option<String>,
    /// Requests that its organisation may send; without it there is no limit. Executions cost nothing.
    pub budget: Option<BudgetSettings>,
    /// The header that the key is sent in.
    pub key_header: String,
    /// Fee that the upstream itself adds, in hundredths of a percent. Upstreams with different fees
    /// never answer for each other unless `fee_fallback` allows it.
    pub platform_fee_bps: u32,
    /// Whether each request costs credits. Defaults to false for one of kind `self-hosted`, else to
    /// true.
    pub metered: bool,
    /// How long each step may take; `first_byte_heavy` is that of `/execute`, `/order` and `/build`.
    pub timeouts: Timeouts,
    /// Whether HTTP/2 is spoken.
    pub http: HttpVersion,
    /// Connections kept open. More are opened while all of them are in use.
    pub connections: usize,
    /// Most connections at once; further requests wait for one of them.
    pub connections_ceiling: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// TLS towards an `https://` URL.
    pub tls: UpstreamTls,
    /// How often the host name is resolved again.
    pub dns_refresh: Duration,
    /// What it is told of the requests that are passed on to it.
    pub propagate: Propagate,
}

/// Which paths an upstream serves.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq)]
pub enum JupiterKind {
    /// `jupiter-swap-api`: version 1 of the swap API with its paths at the root.
    SelfHosted,
    /// The paths of `api.jup.ag`.
    #[default]
    Hosted,
    /// As configured in `paths`.
    Other,
}

words!(
    JupiterKind,
    "self-hosted, hosted or other",
    "self-hosted" => Self::SelfHosted,
    "hosted" => Self::Hosted,
    "other" => Self::Other,
);

/// Paths of the parts of the API, without a slash at their ends; `/` is the root.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct JupiterPaths {
    /// `/swap/v1`, also called v6.
    pub swap_v1: Option<String>,
    /// `/swap/v2`: orders and builds.
    pub swap_v2: Option<String>,
    /// `/ultra/v1`: orders and their execution.
    pub ultra_v1: Option<String>,
    /// `/price/v3`: prices of tokens.
    pub price_v3: Option<String>,
    /// `/tokens/v2`: what is known of tokens.
    pub tokens_v2: Option<String>,
    /// Prefix of all other paths.
    pub other: Option<String>,
}

impl JupiterUpstream {
    /// What a self-hosted API needs at most for a quote, and a hosted one for an order.
    fn timeouts() -> Timeouts {
        Timeouts {
            first_byte: Duration::from_secs(3),
            first_byte_heavy: Duration::from_secs(30),
            ..Timeouts::default()
        }
    }

    /// All that are switched on.
    pub(super) fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut ids = Vec::new();
        let read = section.sections("upstreams", |section| {
            let id = required_id(section);
            ids.push((section.at("id"), id.clone()));
            let on = is_on(section);
            section.forgive_unset(!on);
            let upstream = Self::read(section, id);
            section.forgive_unset(false);
            (on, upstream)
        });
        refuse_doubles(
            section,
            ids.iter().map(|(path, id)| (path.as_str(), id.as_ref())),
        );
        let all: Vec<_> = read
            .into_iter()
            .filter(|(on, _)| *on)
            .filter_map(|(_, upstream)| upstream)
            .collect();
        refuse_other_budgets(section, &all);
        all
    }

    fn read(section: &mut Section<'_>, id: Option<String>) -> Option<Self> {
        let url = read_url(section);
        let (kind, paths) = read_kind(section);
        let own = kind == Some(JupiterKind::SelfHosted);
        let tier = if own { Tier::Local } else { Tier::Paid };
        let tier = section.optional("tier").unwrap_or(tier);
        let weight = section.within("weight", 1, 1..=1000);
        let key = read_key(section);
        let organisation: Option<String> = section.optional("organisation");
        if organisation.as_ref().is_some_and(String::is_empty) {
            section.violation("organisation", "must not be empty");
        }
        let budget = BudgetSettings::read_rate(section);
        let key_header = read_key_header(section);
        let platform_fee_bps = section.within("platform_fee_bps", 0, 0..=10_000);
        let metered = section.optional("metered").unwrap_or(!own);
        let timeouts = section.nested("timeouts", |section| {
            Timeouts::read_with(section, &Self::timeouts())
        });
        let http = section.or("http", HttpVersion::default());
        let connections = section.within("connections", 20, 1..=10_000);
        let ceiling = UpstreamSettings::CONNECTIONS_CEILING;
        let connections_ceiling = section.within("connections_ceiling", ceiling, 1..=65_536);
        if section.has("connections_ceiling") && connections_ceiling < connections {
            section.violation("connections_ceiling", "must not be below connections");
        }
        let hour = Duration::from_secs(1)..=Duration::from_hours(1);
        let idle_timeout = section.within("idle_timeout", IDLE_TIMEOUT, hour.clone());
        let tls = section.nested("tls", UpstreamTls::read);
        if section.has("tls") && url.as_ref().is_some_and(|url| !url.is_tls()) {
            section.violation("tls", "has no effect on an http:// URL");
        }
        let in_clear = |url: &UpstreamUrl| !url.is_tls() && !url.is_nearby();
        if key.is_some() && url.as_ref().is_some_and(in_clear) {
            section.warn("url", "is not https://: the key is sent unencrypted");
        }
        let dns_refresh = section.within("dns_refresh", UpstreamSettings::DNS_REFRESH, hour);
        let is_key = |name: &str| key_header.eq_ignore_ascii_case(name);
        let propagate = section.nested("propagate", |section| Propagate::read(section, is_key));
        Some(Self {
            id: id?,
            url: url?,
            kind: kind?,
            paths,
            tier,
            weight,
            key,
            organisation,
            budget,
            key_header,
            platform_fee_bps,
            metered,
            timeouts,
            http,
            connections,
            connections_ceiling: connections_ceiling.max(connections),
            idle_timeout,
            tls,
            dns_refresh,
            propagate,
        })
    }
}

/// An organisation has one budget, whichever of its upstreams configures it.
fn refuse_other_budgets(section: &mut Section<'_>, all: &[JupiterUpstream]) {
    for (index, one) in all.iter().enumerate() {
        let mut before = all.iter().take(index);
        let differs = |other: &&JupiterUpstream| {
            one.organisation.is_some()
                && other.organisation == one.organisation
                && other.budget.is_some()
                && other.budget != one.budget
        };
        if one.budget.is_some()
            && let Some(other) = before.find(differs)
        {
            let (id, other) = (&one.id, &other.id);
            section.violation(
                "upstreams",
                format_args!(
                    "{id} has another budget than {other}, which belongs to the same organisation"
                ),
            );
        }
    }
}

fn read_kind(section: &mut Section<'_>) -> (Option<JupiterKind>, JupiterPaths) {
    let kind: Option<JupiterKind> = section.required("kind");
    let paths = section.nested("paths", JupiterPaths::read);
    let given = paths != JupiterPaths::default();
    match kind {
        Some(JupiterKind::Other) if !given => {
            section.violation("paths", "is missing: kind is other");
        }
        Some(JupiterKind::SelfHosted | JupiterKind::Hosted) if given => {
            section.violation("paths", "has no effect unless kind is other");
        }
        _ => {}
    }
    (kind, paths)
}

fn read_key_header(section: &mut Section<'_>) -> String {
    let name = section.or("key_header", KEY_HEADER.to_owned());
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        section.violation("key_header", "is not the name of a header");
    }
    name.to_ascii_lowercase()
}

/// A blank key counts as none: no empty header is sent.
fn read_key(section: &mut Section<'_>) -> Option<Secret> {
    let key = section.secret("key")?;
    let text = key.expose().trim();
    if text.is_empty() {
        section.warn("key", "is empty; requests are sent without a key");
        return None;
    }
    if http::HeaderValue::from_str(text).is_err() {
        section.violation(
            "key",
            "cannot be sent: it contains a line break or another control character",
        );
        return None;
    }
    Some(Secret::from(text.to_owned()))
}

impl JupiterPaths {
    fn read(section: &mut Section<'_>) -> Self {
        let mut path = |key| {
            let path: Option<String> = section.optional(key);
            let fine = |path: &String| {
                path.starts_with('/')
                    && path
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte))
            };
            if path.as_ref().is_some_and(|path| !fine(path)) {
                section.violation(key, "must be a path that begins with a slash");
            }
            path
        };
        Self {
            swap_v1: path("swap_v1"),
            swap_v2: path("swap_v2"),
            ultra_v1: path("ultra_v1"),
            price_v3: path("price_v3"),
            tokens_v2: path("tokens_v2"),
            other: path("other"),
        }
    }
}
