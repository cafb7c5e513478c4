//! What a request head says before the body is read: what is asked, by whom, and from where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pingora::protocols::Stream;
use tokio::time::Instant;
use tracing::Span;

use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::forwarded;
use super::session::HttpSession;
use crate::auth::{CallerIdentity, ClientCertificate, ConsumerId, Credentials};
use crate::context::{Protocol, RequestContext};
use crate::error::Rejection;
use crate::limit::Allowances;
use crate::snapshot::Snapshot;
use crate::trace::{HttpRequestId, TraceContext};

/// The kind of a request. Agave looks at the path only for a few `GET`s; a call may be posted to
/// any path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Rpc,
    Preflight,
    /// `GET …/health`, for load balancers and monitors.
    Health,
    /// Of Jupiter's API.
    Api,
    /// `GET …/price/v3`, or its `HEAD`: Jupiter's price API.
    Price,
}

/// What a head says of its request, and its connection. Who asks is not known yet.
pub(super) fn context(
    fields: &RequestFields<'_>,
    tracked: &TrackedConnection,
    protocol: Protocol,
    snapshot: &Snapshot,
) -> RequestContext {
    let config = &snapshot.config;
    let started = Instant::now();
    RequestContext {
        id: HttpRequestId::of(fields.request_id),
        trace: trace(fields),
        hops: None,
        span: Span::none(),
        protocol,
        address: forwarded::caller(
            tracked.address,
            &fields.forwarded_for,
            &config.listen.trusted_proxies,
        ),
        certificate: tracked.certificate(),
        consumer: None,
        is_identified: false,
        client: 0,
        priority: fields.priority(),
        started,
        deadline: started + config.limits.request_timeout,
    }
}

/// The trace that the client says its request belongs to.
fn trace(fields: &RequestFields<'_>) -> Option<Box<TraceContext>> {
    let said = fields.trace.as_deref()?;
    let parent = said.parent.filter(|_| !said.repeated)?;
    TraceContext::of(parent, said.states()).map(Box::new)
}

/// The address at the other end of a connection.
pub(super) fn peer_ip(stream: &Stream) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    Some(digest.peer_addr()?.as_inet()?.ip())
}

/// Determines the kind of the request.
///
/// # Errors
/// The refusals that need no body: WebSocket, method, content type.
pub(super) fn kind(
    session: &impl HttpSession,
    fields: &RequestFields<'_>,
) -> Result<RequestKind, Rejection> {
    if session.asks_for_websocket() {
        return Err(Rejection::Upgrade);
    }
    match *session.method() {
        Method::POST if fields.is_json() => Ok(RequestKind::Rpc),
        Method::POST => Err(Rejection::ContentType),
        Method::OPTIONS => Ok(RequestKind::Preflight),
        Method::GET | Method::HEAD if session.path().ends_with("/health") => {
            Ok(RequestKind::Health)
        }
        Method::GET | Method::HEAD if is_price(session.path()) => Ok(RequestKind::Price),
        _ if session.path().ends_with("/health") => Err(Rejection::ApiMethod {
            allowed: "GET, HEAD, OPTIONS, POST",
        }),
        _ => Err(Rejection::HttpMethod),
    }
}

/// With a slash at its end or without, as Jupiter has it.
fn is_price(path: &str) -> bool {
    path.strip_suffix('/')
        .unwrap_or(path)
        .ends_with("/price/v3")
}

/// Why an address has to wait.
const GUESSED: &str = "too many wrong API keys came from your address";

/// Whether this refuses somebody whose key or token is wrong, missing or not looked at.
pub(super) fn is_of_stranger(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::Unauthorised | Rejection::TokenExpired => true,
        Rejection::OverLimit { reason, .. } => *reason == GUESSED,
        _ => false,
    }
}

/// The consumer behind the request's key, if there is one.
///
/// # Errors
/// As [`crate::auth::Consumers::identify`]; and an address that has shown many wrong keys has to wait.
pub(super) fn identify(
    fields: &RequestFields<'_>,
    path: &str,
    query: Option<&str>,
    context: &RequestContext,
    snapshot: &Snapshot,
    allowances: &Allowances,
) -> Result<Option<ConsumerId>, Rejection> {
    let address = context.address;
    let credentials = Credentials {
        certificate: context.certificate.as_deref(),
        ..credentials(fields, path, query)
    };
    let wait = has_to_wait(&credentials, address, snapshot, allowances);
    let was_right = |key| address.is_some_and(|address| allowances.was_right(address, key));
    // Nothing is looked up for those who cannot be let through.
    if let Some(retry_after) = wait
        && credentials.certificate.is_none()
        && !credentials.shown_keys().any(was_right)
    {
        return Err(guessed(retry_after));
    }
    let identity = snapshot.consumers.identity(&credentials);
    if let Some(retry_after) = wait {
        // A path may hold a guess beside a key that was right, and a certificate come with one.
        let is_known = identity
            .as_ref()
            .is_ok_and(|identity| identity.key.is_none_or(was_right));
        if !is_known {
            return Err(guessed(retry_after));
        }
    }
    let CallerIdentity { consumer, key } = identity?;
    if let (Some(address), Some(key)) = (address, key) {
        allowances.right_key(address, key);
    }
    Ok(consumer)
}

/// Whether the plan of an identified caller allows calls from where it calls.
///
/// # Errors
/// It is restricted to other addresses or origins.
pub(super) fn check_origin(
    origin: Option<&[u8]>,
    context: &RequestContext,
    snapshot: &Snapshot,
) -> Result<(), Rejection> {
    let Some(plan) = snapshot.plan(context.consumer.as_ref()) else {
        return Ok(());
    };
    if !plan.allows_address(context.address) {
        return Err(Rejection::NotFromHere {
            reason: "your plan does not allow calls from your address",
        });
    }
    if !plan.allows_origin(origin) {
        return Err(Rejection::NotFromHere {
            reason: "your plan does not allow calls from this origin",
        });
    }
    Ok(())
}

/// How long an address that has shown many wrong keys waits before it may show another one. A certificate
/// is no guess.
fn has_to_wait(
    credentials: &Credentials<'_>,
    address: Option<IpAddr>,
    snapshot: &Snapshot,
    allowances: &Allowances,
) -> Option<Duration> {
    // Where anonymous callers are admitted a path without a key in it is no guess.
    let guesses = credentials.explicit_key().is_some()
        || credentials.shown_key().is_some() && !snapshot.consumers.admits_anonymous();
    allowances.may_not_guess_for(address.filter(|_| guesses)?)
}

fn guessed(retry_after: Duration) -> Rejection {
    Rejection::OverLimit {
        reason: GUESSED,
        retry_after,
        remaining: None,
    }
}

/// The part of a request that may be meant as a key.
pub(super) fn shown_key<'a>(
    fields: &RequestFields<'a>,
    path: &'a str,
    query: Option<&'a str>,
) -> Option<&'a [u8]> {
    credentials(fields, path, query).shown_key()
}

fn credentials<'a>(
    fields: &RequestFields<'a>,
    path: &'a str,
    query: Option<&'a str>,
) -> Credentials<'a> {
    Credentials {
        api_key: fields.api_key,
        authorization: fields.authorization,
        path,
        query,
        certificate: None,
    }
}

/// The credentials of a request, and the origin of the page that it came from, kept as long as its
/// WebSocket lasts. Never printed.
pub(super) struct ShownCredentials {
    origin: Option<Box<[u8]>>,
    api_key: Option<Box<[u8]>>,
    authorization: Option<Box<[u8]>>,
    path: Box<str>,
    query: Option<Box<str>>,
    certificate: Option<Arc<ClientCertificate>>,
}

impl ShownCredentials {
    pub(super) fn new(
        fields: &RequestFields<'_>,
        path: &str,
        query: Option<&str>,
        context: &RequestContext,
    ) -> Self {
        Self {
            origin: fields.origin.map(Into::into),
            certificate: context.certificate.clone(),
            api_key: fields.api_key.map(Into::into),
            authorization: fields.authorization.map(Into::into),
            path: path.into(),
            query: query.map(Into::into),
        }
    }

    /// Whether what was allowed with this context still is by the current configuration.
    ///
    /// # Errors
    /// It is another consumer's, or nobody's, by now; a token may have expired since it was shown. Or
    /// its plan is not for the caller's address or page any more.
    pub(super) fn check(
        &self,
        context: &RequestContext,
        snapshot: &Snapshot,
    ) -> Result<(), Rejection> {
        let consumer = self.identify(snapshot)?;
        if consumer != context.consumer {
            return Err(Rejection::Unauthorised);
        }
        check_origin(self.origin.as_deref(), context, snapshot)
    }

    fn identify(&self, snapshot: &Snapshot) -> Result<Option<ConsumerId>, Rejection> {
        snapshot.consumers.identify_open(&Credentials {
            api_key: self.api_key.as_deref(),
            authorization: self.authorization.as_deref(),
            path: &self.path,
            query: self.query.as_deref(),
            certificate: self.certificate.as_deref(),
        })
    }
}
