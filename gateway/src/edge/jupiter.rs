//! Requests of Jupiter's API: any verb, path and query, passed on unchanged.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::access::{self, AccessEntry};
use super::api_path::{self, optimized};
use super::reply;
use super::request_end::RequestEnd;
use super::request_head::RequestHead;
use super::rpc_app::RpcApp;
use super::session::HttpSession;
use super::write_pace::WriteFault;
use crate::error::Rejection;
use crate::jupiter::{ApiRoute, Product};
use crate::limit::PermitRequest;
use crate::pipeline::ApiCall;
use crate::snapshot::Snapshot;
use crate::solana::Priority;

/// Request fields that are passed on. Keys, cookies and addresses are not, nor what proxies in front of the
/// gateway have added.
const PASSED_ON: [&str; 3] = [ACCEPT, "content-type", "idempotency-key"];
const ACCEPT: &str = "accept";

/// Passed on where it is a token of Jupiter's, to the parts of the API that may ask for one.
const AUTHORIZATION: &str = "authorization";

impl RpcApp {
    /// Answers a request.
    pub(super) async fn api(
        &self,
        session: &mut impl HttpSession,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        who: Result<(), Rejection>,
    ) -> Result<(), RequestEnd> {
        who?;
        let consumer = head.context.consumer.as_ref();
        self.metrics.called_by(consumer, &snapshot.config);
        let cost = api_path::cost(session.path(), consumer, snapshot)?;
        let (body, _serving) = Self::accept(session, &snapshot.config.limits).await?;
        let (pipeline, address) = (&self.pipeline, head.context.address);
        let admitted = pipeline.admit(snapshot, consumer, address, cost);
        let admitted = admitted.await?;
        let remaining = admitted.as_ref().and_then(|admitted| admitted.remaining);
        let call = self.api_call(session, snapshot, head, body);
        let ask = ask(snapshot, head, &call.method);
        let deadline = head.context.deadline;
        let in_turn = async {
            let turn = pipeline.turn(snapshot, ask.into(), deadline).await?;
            let answered = call.answer().await;
            drop(turn);
            answered
        };
        let answered = tokio::select! {
            biased;
            answered = in_turn => answered,
            () = session.gone() => return Err(self.api_gone(session.path(), snapshot, head)),
        };
        let response = answered?;
        let log = snapshot.config.log.access;
        let entry = log.then(|| AccessEntry::api(&response, head));
        self.metrics
            .replied_to(&head.context, response.status, snapshot);
        head.context.answered(response.status, response.outcome);
        let mut wire = session.wire();
        let written =
            reply::write_api(&mut wire, (response, remaining), head, &snapshot.config).await;
        if let (Some(meter), Ok(bytes)) = (admitted.and_then(|admitted| admitted.meter), written) {
            meter.count(bytes);
        }
        self.conclude(entry.as_ref(), written)
    }
}

impl RpcApp {
    /// Counts and logs a request of Jupiter's API whose client has gone before there was an answer.
    pub(super) fn api_gone(
        &self,
        path: &str,
        snapshot: &Snapshot,
        head: &RequestHead,
    ) -> RequestEnd {
        let product = api_path::product(path, snapshot);
        let started = head.context.started;
        self.pipeline.api_client_gone(product, started.elapsed());
        self.metrics.left(&head.context, snapshot);
        if snapshot.config.log.access {
            let entry = AccessEntry::gone_from_api(product.label(), head);
            access::log(&entry, Err(WriteFault::Gone));
        }
        RequestEnd::Gone
    }

    /// The request in the pipeline's form.
    pub(super) fn api_call(
        &self,
        session: &impl HttpSession,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        body: Bytes,
    ) -> ApiCall {
        let path = optimized(session.path(), snapshot);
        let asks = |value: &[u8]| value.eq_ignore_ascii_case(b"best");
        let asked = session.field("x-perijove-optimize").is_some_and(asks);
        ApiCall {
            pipeline: Arc::clone(&self.pipeline),
            snapshot: Arc::clone(snapshot),
            // The head is that of a `GET`, and what writes the answer leaves the body out.
            method: match *session.method() {
                Method::HEAD => Method::GET,
                ref method => method.clone(),
            },
            optimize: path.is_some() || asked,
            path: path.unwrap_or_else(|| session.path().to_owned()),
            query: session.query().unwrap_or_default().to_owned(),
            fields: passed_on(session, snapshot),
            body,
            affinity: affinity(session, snapshot).unwrap_or(head.context.client),
            context: Arc::clone(&head.context),
            cache_use: head.cache_use,
            asked: None,
            built_for: None,
            charged: false,
        }
    }
}

/// The class of a request: swaps and executions before quotes, unless plan or caller say otherwise.
fn ask(snapshot: &Snapshot, head: &RequestHead, method: &Method) -> PermitRequest {
    let context = &head.context;
    let consumer = context.consumer.as_ref();
    let usual = match *method {
        Method::GET => Priority::Medium,
        _ => Priority::High,
    };
    PermitRequest {
        priority: snapshot.priority(consumer, context.priority, usual),
        consumer: context.client,
        weight: snapshot.weight(consumer),
        heavy: false,
    }
}

fn passed_on(session: &impl HttpSession, snapshot: &Snapshot) -> Vec<(&'static str, Bytes)> {
    let field = |name: &'static str| {
        let value = match name {
            ACCEPT => Bytes::from(session.list(name)?.into_owned()),
            _ => Bytes::copy_from_slice(session.field(name)?),
        };
        Some((name, value))
    };
    let is_jupiters = |authorization: &[u8]| {
        let route = ApiRoute::of(session.path());
        route.is_some_and(|route| route.product == Product::Other)
            && snapshot.consumers.is_foreign_token(authorization)
    };
    let token = session
        .field(AUTHORIZATION)
        .filter(|value| is_jupiters(value));
    let token = token.and_then(|_| field(AUTHORIZATION));
    PASSED_ON
        .into_iter()
        .filter_map(field)
        .chain(token)
        .collect()
}

/// The client's session name, if the operator configured one.
fn affinity(session: &impl HttpSession, snapshot: &Snapshot) -> Option<u64> {
    let settings = &snapshot.config.jupiter.affinity;
    let header = settings.header.as_deref();
    let cookie = settings.cookie.as_deref();
    let value = header.and_then(|name| session.field(name)).or_else(|| {
        // Clients of HTTP/2 send a line for each (RFC 9113 §8.2.3).
        let mut lines = session.values("cookie");
        lines.find_map(|line| cookie_of(line, cookie?))
    })?;
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    Some(hasher.finish())
}

fn cookie_of<'a>(cookies: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookies.split(|byte| *byte == b';').find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let cookies = b"xsid=1; sid=abc ;sid2=2";
        assert_eq!(cookie_of(cookies, "sid"), Some(&b"abc"[..]));
        assert_eq!(cookie_of(cookies, "id"), None);
    }
}
