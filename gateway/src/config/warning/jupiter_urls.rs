//! URLs of upstreams of Jupiter's API that hold what the gateway adds itself.

use perijove_core::settings::Reading;

use crate::config::{Config, JupiterKind};

/// What precedes the paths of the hosted API.
const HOSTED: [&str; 7] = [
    "/swap",
    "/swap/v1",
    "/swap/v2",
    "/ultra/v1",
    "/price/v3",
    "/tokens/v2",
    "/v6",
];
/// The paths themselves.
const CALLS: [&str; 3] = ["/quote", "/swap-instructions", "/order"];
/// The host of version 6, which has no other paths.
const OLD_HOST: &str = "quote-api.jup.ag";

/// Adds a warning for each URL that is that of a call, or of a part of the API.
pub(super) fn look_at_urls(config: &Config, reading: &Reading<'_>) {
    for upstream in &config.jupiter.upstreams {
        let asked = match upstream.kind {
            JupiterKind::Hosted => "/swap/v1/quote",
            JupiterKind::SelfHosted => "/quote",
            JupiterKind::Other => continue,
        };
        let at = format_args!("jupiter.upstreams.{}.url", upstream.id).to_string();
        let path = upstream.url.expose().path().trim_end_matches('/');
        let hosted = HOSTED
            .iter()
            .filter(|_| upstream.kind == JupiterKind::Hosted);
        let mut added = hosted.chain(&CALLS);
        if let Some(added) = added.find(|added| path.ends_with(**added)) {
            reading.warn(
                at,
                format_args!(
                    "ends with {added}, which is added to it: quotes are asked for at {asked} after \
                     it; leave {added} out"
                ),
            );
        } else if upstream.kind == JupiterKind::Hosted && upstream.url.host() == OLD_HOST {
            reading.warn(
                at,
                format_args!("{OLD_HOST} has no {asked}; did you mean https://api.jup.ag?"),
            );
        }
    }
}
