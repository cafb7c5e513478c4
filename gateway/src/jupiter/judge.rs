//! What an answer of a Jupiter upstream means: whose fault it is, and whether another should be
//! asked.

use std::time::Duration;

use super::Product;

/// The longest pause that an upstream can ask for.
const LONGEST_NAMED: Duration = Duration::from_mins(5);

/// The facts of an answer.
#[derive(Clone, Copy, Debug)]
pub struct JudgedAnswer<'a> {
    pub product: Product,
    pub status: u16,
    /// The content type says JSON.
    pub is_json: bool,
    /// A browser challenge of a bot protection.
    pub challenge: bool,
    /// Seconds since 1970 at which a request is allowed again, from `x-ratelimit-reset` or a
    /// date in `Retry-After`.
    pub reset_unix: Option<u64>,
    pub retry_after: Option<Duration>,
    /// The body, or its beginning.
    pub body: &'a [u8],
}

/// Why an answer is not passed on, as long as another upstream may give a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// Too many requests: the upstream is held off for at least this long, if it says so.
    RateLimited(Option<Duration>),
    /// The gateway's key is wrong or missing.
    Unauthorized,
    /// The gateway's key does not allow this.
    Forbidden,
    /// A firewall, or a browser challenge, in front of the upstream.
    Firewall,
    /// A status of 500 or above.
    ServerError,
    /// Not the kind of answer that this product has.
    Unexpected,
    /// A quote or an order for another pair, amount or mode than it was asked for.
    WrongQuote,
    /// The upstream finds no route; another may know other markets.
    NoRoute,
    /// The upstream answered from a market state that is too old.
    Lagging,
}

impl ApiFault {
    /// Value of the label `reason`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RateLimited(_) => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Firewall => "firewall",
            Self::ServerError => "server_error",
            Self::Unexpected => "unexpected_answer",
            Self::WrongQuote => "wrong_quote",
            Self::NoRoute => "no_route",
            Self::Lagging => "lagging",
        }
    }

    /// Whether it counts against the upstream's health.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::ServerError | Self::Unexpected | Self::WrongQuote
        )
    }

    /// Whether the request was certainly not executed.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::RateLimited(_) | Self::Unauthorized | Self::Forbidden | Self::Firewall
        )
    }
}

/// Says what is wrong with an answer; `None` for an answer that concerns the caller, good or bad.
pub fn judge(seen: &JudgedAnswer<'_>, now_unix: u64) -> Option<ApiFault> {
    let page = !seen.is_json && begins_as_page(seen.body);
    match seen.status {
        _ if seen.challenge => Some(ApiFault::Firewall),
        429 => Some(ApiFault::RateLimited(pause(seen, now_unix))),
        401 => Some(ApiFault::Unauthorized),
        403 if page || mentions(seen.body, b"firewall") => Some(ApiFault::Firewall),
        403 => Some(ApiFault::Forbidden),
        500.. => Some(ApiFault::ServerError),
        200..300 | 404 | 405 if expects_json(seen.product) && !begins_as_json(seen.body) => {
            Some(ApiFault::Unexpected)
        }
        400 if seen.product == Product::Quote && is_no_route(seen.body) => Some(ApiFault::NoRoute),
        _ => None,
    }
}

fn pause(seen: &JudgedAnswer<'_>, now_unix: u64) -> Option<Duration> {
    let reset = seen.reset_unix.map(|at| {
        // Clocks may differ: that must not turn a window of a minute into a pause of hours.
        Duration::from_secs(at.saturating_sub(now_unix).clamp(1, 120))
    });
    // No upstream can take its organisation out for good.
    let named = seen.retry_after.map(|named| named.min(LONGEST_NAMED));
    named.max(reset)
}

fn expects_json(product: Product) -> bool {
    !matches!(product, Product::Other)
}

fn begins_as_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

fn begins_as_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

fn mentions(body: &[u8], word: &[u8]) -> bool {
    let beginning = body.get(..body.len().min(4096)).unwrap_or_default();
    memchr::memmem::find(&beginning.to_ascii_lowercase(), word).is_some()
}

/// Refusals that depend on which markets an upstream knows.
pub fn is_no_route(body: &[u8]) -> bool {
    const CODES: [&[u8]; 4] = [
        b"COULD_NOT_FIND_ANY_ROUTE",
        b"NO_ROUTES_FOUND",
        b"MARKET_NOT_FOUND",
        b"TOKEN_NOT_TRADABLE",
    ];
    let beginning = body.get(..body.len().min(4096)).unwrap_or_default();
    let mut codes = CODES.into_iter();
    codes.any(|code| memchr::memmem::find(beginning, code).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn seen(product: Product, status: u16, body: &str) -> JudgedAnswer<'_> {
        JudgedAnswer {
            product,
            status,
            is_json: body.starts_with('{'),
            challenge: false,
            reset_unix: None,
            retry_after: None,
            body: body.as_bytes(),
        }
    }

    #[test]
    fn every_answer_is_somebodys() {
        use ApiFault::*;
        use Product::{Other, Quote, Swap};
        for (product, status, body, fault) in [
            (Quote, 200, r#"{"outAmount":"1"}"#, None),
            (Quote, 200, "<html>hello</html>", Some(Unexpected)),
            (Quote, 200, "", Some(Unexpected)),
            (Other, 200, "<html>hello</html>", None),
            (Other, 204, "", None),
            (Quote, 400, r#"{"error":"bad amount"}"#, None),
            (
                Quote,
                400,
                r#"{"error":"x","errorCode":"COULD_NOT_FIND_ANY_ROUTE"}"#,
                Some(NoRoute),
            ),
            (
                Swap,
                400,
                r#"{"error":"x","errorCode":"COULD_NOT_FIND_ANY_ROUTE"}"#,
                None,
            ),
            (Quote, 404, "404 page not found", Some(Unexpected)),
            (Other, 404, "404 page not found", None),
            (Swap, 401, r#"{"code":401}"#, Some(Unauthorized)),
            (
                Swap,
                403,
                r#"{"code":403,"message":"API key does not have access"}"#,
                Some(Forbidden),
            ),
            (
                Swap,
                403,
                r#"{"code":403,"message":"Request blocked by Firewall"}"#,
                Some(Firewall),
            ),
            (Other, 403, "<!DOCTYPE html>", Some(Firewall)),
            (Quote, 429, r#"{"code":429}"#, Some(RateLimited(None))),
            (Other, 502, "", Some(ServerError)),
        ] {
            let judged = judge(&seen(product, status, body), NOW);
            assert_eq!(judged, fault, "{product:?} {status} {body}");
        }
    }

    #[test]
    fn the_end_of_the_window_is_the_pause() {
        for (reset, after, expected) in [
            (Some(NOW + 7), None, Some(7)),
            (Some(NOW), None, Some(1)),
            (Some(NOW - 50), None, Some(1)),
            (Some(NOW + 9_000), None, Some(120)),
            (None, Some(3), Some(3)),
            (Some(NOW + 7), Some(9), Some(9)),
            (None, Some(86_400), Some(300)),
            (None, Some(u64::MAX), Some(300)),
            (None, None, None),
        ] {
            let limited = JudgedAnswer {
                reset_unix: reset,
                retry_after: after.map(Duration::from_secs),
                ..seen(Product::Quote, 429, "{}")
            };
            let pause = expected.map(Duration::from_secs);
            assert_eq!(judge(&limited, NOW), Some(ApiFault::RateLimited(pause)));
        }
    }
}
