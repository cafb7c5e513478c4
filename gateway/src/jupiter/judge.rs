//! What an answer of a Jupiter upstream means: whose fault it is, and whether another should be
//! asked.

use std::time::Duration;

use serde::de::IgnoredAny;

use super::Product;

/// The longest pause that an upstream can ask for.
const LONGEST_NAMED: Duration = Duration::from_mins(5);

/// Until when a pause is taken for the seconds to wait: a day.
const LONGEST_RELATIVE: u64 = 86_400;

/// From when on a time is taken for milliseconds: in seconds it would be the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

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
    /// The body is all there.
    pub is_whole: bool,
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
    /// A status of 400 to 499 with a page, or without any reason: of a server in front of the upstream.
    Page,
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
            Self::Page => "unexpected_status",
            Self::WrongQuote => "wrong_quote",
            Self::NoRoute => "no_route",
            Self::Lagging => "lagging",
        }
    }

    /// Whether it may be that the gateway's key is refused, or its address, whatever is asked for.
    pub const fn is_about_the_key(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Firewall)
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
        // The caller cannot pay for the gateway's key, nor log in at a proxy.
        402 | 407 if seen.product != Product::Other => Some(ApiFault::Forbidden),
        // What has not answered the execution itself does not say that it failed.
        500.. if seen.product == Product::Execute && !seen.is_answer() => {
            Some(ApiFault::Unexpected)
        }
        500.. => Some(ApiFault::ServerError),
        _ if seen.product == Product::Other => None,
        200 | 404 | 405 if seen.is_answer() => None,
        404 | 405 => Some(seen.page()),
        // About how the request came there, not about what it asks.
        408 | 421 | 425 if seen.product != Product::Execute => Some(ApiFault::Unexpected),
        400 if seen.product == Product::Quote && is_no_route(seen.body) => Some(ApiFault::NoRoute),
        // The reason may be plain text.
        400..500 if !seen.is_blank() && !begins_as_page(seen.body) => None,
        400..500 => Some(seen.page()),
        // Redirects lead past the gateway, and the rest is part of an answer, or none.
        _ => Some(ApiFault::Unexpected),
    }
}

impl JudgedAnswer<'_> {
    /// Whether the body is of the kind that this part of the API has. Lists are answered only about
    /// tokens.
    fn is_answer(&self) -> bool {
        let begins = match self.body.trim_ascii_start().first() {
            Some(b'{') => true,
            Some(b'[') => self.product == Product::Tokens,
            _ => false,
        };
        let parses = || serde_json::from_slice::<IgnoredAny>(self.body).is_ok();
        begins && (!self.is_whole || parses())
    }

    /// A page, in place of an answer. What stands in front of it does not know whether an execution was
    /// carried out.
    fn page(&self) -> ApiFault {
        match self.product {
            Product::Execute => ApiFault::Unexpected,
            _ => ApiFault::Page,
        }
    }

    fn is_blank(&self) -> bool {
        self.body.trim_ascii().is_empty()
    }
}

fn pause(seen: &JudgedAnswer<'_>, now_unix: u64) -> Option<Duration> {
    let reset = seen.reset_unix.map(|at| {
        // A point in time, in milliseconds for some, or the seconds to wait.
        let seconds = match at {
            ..=LONGEST_RELATIVE => at,
            FIRST_MILLISECONDS.. => (at / 1000).saturating_sub(now_unix),
            _ => at.saturating_sub(now_unix),
        };
        Duration::from_secs(seconds.max(1))
    });
    // No upstream can take its organisation out for good, nor can a clock that differs from ours.
    let named = seen.retry_after.max(reset);
    named.map(|named| named.min(LONGEST_NAMED))
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
            is_whole: true,
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_answer_is_somebodys() {
        use ApiFault::*;
        use Product::{Execute, Order, Other, Price, Quote, Swap, Tokens};
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
            (Quote, 404, "404 page not found", Some(Page)),
            (Quote, 414, "<html>414 nginx", Some(Page)),
            (Tokens, 404, "<html>404 nginx", Some(Page)),
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
            // Parts of answers, and answers to other questions.
            (Quote, 201, r#"{"outAmount":"1"}"#, Some(Unexpected)),
            (Quote, 204, "", Some(Unexpected)),
            (Order, 206, r#"{"requestId":"#, Some(Unexpected)),
            (Order, 200, r#"{"requestId":"#, Some(Unexpected)),
            (Order, 200, r#"[{"requestId":"1"}]"#, Some(Unexpected)),
            (Price, 200, "[]", Some(Unexpected)),
            (Tokens, 200, "[]", None),
            (Tokens, 200, "[", Some(Unexpected)),
            (Tokens, 206, "[]", Some(Unexpected)),
            (Price, 301, "", Some(Unexpected)),
            (Quote, 302, r#"{"outAmount":"1"}"#, Some(Unexpected)),
            (Tokens, 304, "", Some(Unexpected)),
            (Swap, 307, "", Some(Unexpected)),
            (Other, 302, "", None),
            (Other, 304, "", None),
            (Other, 206, "x", None),
            // Whose fault it is has to be said.
            (Quote, 400, "", Some(Page)),
            (Execute, 404, "<html>", Some(Unexpected)),
            (Execute, 400, "", Some(Unexpected)),
            (Quote, 400, "<html>400 nginx", Some(Page)),
            (Swap, 413, "<html>413 nginx", Some(Page)),
            (Order, 408, "\r\n", Some(Unexpected)),
            (Quote, 402, r#"{"error":"x"}"#, Some(Forbidden)),
            (Execute, 407, "", Some(Forbidden)),
            (Other, 402, r#"{"error":"x"}"#, None),
            (Quote, 408, r#"{"error":"x"}"#, Some(Unexpected)),
            (Swap, 421, r#"{"error":"x"}"#, Some(Unexpected)),
            (Price, 425, r#"{"error":"x"}"#, Some(Unexpected)),
            (Execute, 408, r#"{"error":"x"}"#, None),
            (Quote, 400, "missing field `inputMint`", None),
            (Swap, 422, "Failed to deserialize the JSON body", None),
            (Tokens, 404, r#"{"error":"x"}"#, None),
            (Other, 400, "", None),
            // An execution may have been carried out, whatever stands in front of it says.
            (Execute, 200, r#"{"status":"Failed","code":-1}"#, None),
            (Execute, 200, "<html>", Some(Unexpected)),
            (Execute, 200, "", Some(Unexpected)),
            (Execute, 204, "", Some(Unexpected)),
            (Execute, 307, "", Some(Unexpected)),
            (Execute, 400, r#"{"error":"x"}"#, None),
            (Execute, 500, r#"{"error":"x"}"#, Some(ServerError)),
            (Execute, 502, "<html>", Some(Unexpected)),
            (Execute, 504, "", Some(Unexpected)),
            (Execute, 403, "<html>", Some(Firewall)),
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
            (Some(NOW + 130), None, Some(130)),
            (Some(NOW + 9_000), None, Some(300)),
            (Some(u64::MAX), None, Some(300)),
            (Some((NOW + 9) * 1000), None, Some(9)),
            (Some(45), None, Some(45)),
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
