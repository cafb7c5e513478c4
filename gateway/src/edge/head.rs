//! What the edge takes from a request head before the body is read.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::{HeaderName, HeaderValue, Method};
use pingora::protocols::http::ServerSession;

use super::{compress, smuggling};
use crate::auth::{ConsumerId, Credentials};
use crate::dispatch::ClientKey;
use crate::error::Rejection;
use crate::pipeline::CacheUse;
use crate::snapshot::Snapshot;

/// Names a request in logs and answers, here and at the client.
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What part the cache had in an answer, or is to have.
pub(super) static X_CACHE: HeaderName = HeaderName::from_static("x-perijove-cache");
static X_BIGTABLE: HeaderName = HeaderName::from_static("x-bigtable");
static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Longest request id that is taken over from a client.
const REQUEST_ID_MAX: usize = 128;

/// A request head, reduced to what decides its course.
#[derive(Debug)]
pub(super) struct Head {
    pub request_id: HeaderValue,
    pub origin: Option<HeaderValue>,
    pub accepts_gzip: bool,
    pub client_ip: Option<IpAddr>,
}

/// What kind of request it is. Agave looks at the path only for a few `GET`s; a call may be posted
/// to any.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rpc,
    Preflight,
    /// `GET …/health`: the word for load balancers and monitors.
    Health,
    /// `GET …/price/v3`: Jupiter's price API.
    Price,
}

impl Head {
    pub(super) fn of(session: &ServerSession) -> Self {
        let headers = &session.req_header().headers;
        Self {
            request_id: request_id(headers.get(&X_REQUEST_ID)),
            origin: headers.get(ORIGIN).cloned(),
            accepts_gzip: headers
                .get(ACCEPT_ENCODING)
                .and_then(|value| value.to_str().ok())
                .is_some_and(compress::accepts_gzip),
            client_ip: session
                .client_addr()
                .and_then(|address| address.as_inet())
                .map(std::net::SocketAddr::ip),
        }
    }

    /// The key under which this client's session is kept.
    pub(super) fn client_key(&self, consumer: Option<&ConsumerId>) -> ClientKey {
        let mut hasher = DefaultHasher::new();
        match consumer {
            Some(consumer) => consumer.hash(&mut hasher),
            None => self.client_ip.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// Tells what is asked for.
///
/// # Errors
/// The refusals that need no body: ambiguous framing, upgrade, method, content type.
pub(super) fn kind(session: &ServerSession) -> Result<Kind, Rejection> {
    if let Some(h1) = session.as_http1() {
        smuggling::check_head(&h1.get_headers_raw_bytes())?;
    }
    if session.is_upgrade_req() {
        return Err(Rejection::Upgrade);
    }
    let head = session.req_header();
    match head.method {
        Method::POST => match head.headers.get(CONTENT_TYPE) {
            Some(content_type) if is_json(content_type.as_bytes()) => Ok(Kind::Rpc),
            _ => Err(Rejection::ContentType),
        },
        Method::OPTIONS => Ok(Kind::Preflight),
        Method::GET if head.uri.path().ends_with("/health") => Ok(Kind::Health),
        Method::GET if head.uri.path().ends_with("/price/v3") => Ok(Kind::Price),
        _ => Err(Rejection::HttpMethod),
    }
}

/// The three spellings that Agave's HTTP server accepts.
fn is_json(content_type: &[u8]) -> bool {
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
    ]
    .iter()
    .any(|spelling| content_type.eq_ignore_ascii_case(spelling.as_bytes()))
}

/// The consumer behind the request's key.
///
/// # Errors
/// As [`crate::auth::Consumers::identify`].
pub(super) fn identify(
    session: &ServerSession,
    snapshot: &Snapshot,
) -> Result<Option<ConsumerId>, Rejection> {
    let head = session.req_header();
    snapshot.consumers.identify(&Credentials {
        api_key: head.headers.get(&X_API_KEY).map(HeaderValue::as_bytes),
        authorization: head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes),
        path: head.uri.path(),
        query: head.uri.query(),
    })
}

/// What the caller wants of the cache. `no-cache` is HTTP's word for an answer of now, `no-store`
/// for one that is nobody else's business.
pub(super) fn cache_use(session: &ServerSession) -> CacheUse {
    let headers = &session.req_header().headers;
    let says = |name: &HeaderName, word: &str| {
        headers.get_all(name).iter().any(|value| {
            let mut parts = value.as_bytes().split(|byte| *byte == b',');
            parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    if says(&X_CACHE, "bypass") || says(&CACHE_CONTROL, "no-store") {
        CacheUse::Bypass
    } else if says(&CACHE_CONTROL, "no-cache") {
        CacheUse::Revalidate
    } else {
        CacheUse::Normal
    }
}

/// Whether the caller switches a node's long-term storage off, as Agave lets him.
pub(super) fn ledger_only(session: &ServerSession) -> bool {
    let value = session.req_header().headers.get(&X_BIGTABLE);
    value.is_some_and(|value| value == "disabled")
}

/// The client's own id if it is presentable, else a random one.
fn request_id(given: Option<&HeaderValue>) -> HeaderValue {
    let presentable = given.filter(|id| {
        (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    presentable.cloned().unwrap_or_else(random_id)
}

/// Sixteen random hexadecimal digits.
fn random_id() -> HeaderValue {
    let digits = fastrand::u64(..).to_be_bytes().map(|byte| {
        [byte >> 4, byte & 15].map(|digit| {
            if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            }
        })
    });
    HeaderValue::from_bytes(digits.as_flattened()).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_taken_as_agave_takes_them() {
        for yes in [
            "application/json",
            "Application/JSON",
            "application/json; charset=UTF-8",
        ] {
            assert!(is_json(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonp",
        ] {
            assert!(!is_json(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_clients_request_id_is_kept_and_an_unpresentable_one_replaced() {
        let kept = HeaderValue::from_static("order-7");
        assert_eq!(request_id(Some(&kept)), "order-7");
        let long = HeaderValue::from_str(&"x".repeat(REQUEST_ID_MAX + 1)).unwrap();
        for bad in [
            HeaderValue::from_static(""),
            HeaderValue::from_static("a b"),
            long,
        ] {
            let id = request_id(Some(&bad));
            assert_eq!(id.len(), 16, "{id:?}");
        }
    }
}
