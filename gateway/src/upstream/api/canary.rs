//! Requests the canary quote from one upstream regularly, and resolves its name.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use perijove_core::Slot;
use tokio::time::{Instant, sleep, sleep_until};

use super::ApiUpstream;
use super::canary_fault::CanaryFault;
use super::fitness::ApiFitness;
use crate::jupiter::{ApiFault, ApiRoute, AskedSwap, Product, QuoteFacts, SwapMode};
use crate::limit::PermitRequest;
use crate::solana::{FaultKind, Priority};
use crate::upstream::Pool;
use crate::upstream::client::ReplyTo;
use crate::upstream::client::reply::{AttemptLimits, ReplyBody};
use crate::upstream::client::request::ApiRequest;
use crate::upstream::health::diagnosis::cure;
use crate::upstream::transport::fault::TransportFault;

/// A quote is smaller.
const MOST_BYTES: usize = 256 * 1024;

/// Runs until it is aborted.
pub(super) async fn watch(upstream: Arc<ApiUpstream>, rpc: Arc<Pool>) {
    let interval = if upstream.settings.metered {
        upstream.health.metered_interval
    } else {
        upstream.health.interval
    };
    let mut resolved = Instant::now();
    resolve(&upstream).await;
    loop {
        look(&upstream, &rpc).await;
        // A small budget is not used up by canaries.
        let interval = interval.max(upstream.organisation.canary_pace());
        // Spread, so that not all are requested at the same moment.
        let spread = 0.9 + 0.2 * fastrand::f64();
        pause(&upstream, interval.mul_f64(spread)).await;
        let now = Instant::now();
        upstream.state.prune_connections(now);
        if now.saturating_duration_since(resolved) >= upstream.settings.dns_refresh {
            resolved = now;
            resolve(&upstream).await;
        }
    }
}

/// Until the next one: for less long where a request has raised a doubt, but as long as between two of an
/// upstream that is not metered.
async fn pause(upstream: &ApiUpstream, interval: Duration) {
    let least = upstream.health.interval;
    let least = least.max(upstream.organisation.canary_pace());
    let (least, end) = (least.min(interval), Instant::now() + interval);
    sleep(least).await;
    tokio::select! {
        () = sleep_until(end) => {}
        () = upstream.state.doubt.raised() => {}
    }
}

async fn resolve(upstream: &ApiUpstream) {
    let resolved = &upstream.state.addresses;
    if let Err(error) = resolved.refresh().await {
        tracing::warn!(
            upstream = upstream.id(),
            host = resolved.host(),
            addresses = resolved.known().len(),
            %error,
            cure = cure(FaultKind::Dns),
            "Jupiter upstream DNS lookup failed"
        );
    }
}

/// One canary.
async fn look(upstream: &Arc<ApiUpstream>, rpc: &Pool) {
    let begun = Instant::now();
    upstream
        .state
        .metrics
        .budget(upstream.organisation.left(begun));
    upstream.state.saturation.settle(begun);
    // A held-off upstream is not asked.
    if upstream.wait(Product::Quote, begun).is_some() {
        return;
    }
    let Some(request) = request(upstream) else {
        return;
    };
    upstream.charge(Product::Quote, begun);
    let deadline = begun + upstream.health.timeout;
    let timeouts = &upstream.settings.timeouts;
    let limits = AttemptLimits {
        deadline,
        queue: deadline,
        first_byte: upstream.health.timeout,
        progress: timeouts.progress.max(upstream.health.timeout),
        answer_buffer: MOST_BYTES,
        replayable: true,
        ask: PermitRequest::own(Priority::Medium),
        urgency: None,
        headers: None,
    };
    let started = Instant::now();
    let reply = upstream.call(&request, &limits, None).await;
    let now = Instant::now();
    let tip = rpc.slots().map(|view| view.now);
    if let Some(change) = concluded(upstream, reply, tip, (started, now)) {
        tell(upstream, change);
    }
}

/// Draws the conclusions from one.
fn concluded(
    upstream: &Arc<ApiUpstream>,
    reply: Result<ReplyTo<ApiRequest>, TransportFault>,
    tip: Option<Slot>,
    (started, now): (Instant, Instant),
) -> Option<(ApiFitness, ApiFitness)> {
    let state = &upstream.state;
    let reply = match reply {
        Ok(reply) => reply,
        Err(fault) => {
            tracing::debug!(
                upstream = upstream.id(),
                fault = fault.kind.label(),
                "Jupiter canary quote failed"
            );
            state.metrics.bad.inc();
            let fault = CanaryFault::transport(fault.kind);
            return Some(state.silent(fault, &upstream.health));
        }
    };
    let ReplyBody::Complete(body) = &reply.body else {
        return None;
    };
    let Some(fault) = upstream.judge(Product::Quote, &reply) else {
        return Some(quoted(upstream, (reply.status, body), tip, (started, now)));
    };
    let told = CanaryFault::answer(reply.status, Some(fault));
    if fault.is_refusal() {
        if state.canary_fault.lock().as_ref() != Some(&told) {
            let (cause, cure) = (&told.cause, told.cure);
            tracing::warn!(
                upstream = upstream.id(),
                cause,
                cure,
                "Jupiter upstream refuses canaries"
            );
            *state.canary_fault.lock() = Some(told.clone());
        }
        // What that says about limits and keys applies to all requests.
        upstream.refused(Product::Quote, fault, now);
    }
    state.metrics.bad.inc();
    // A refusal for another reason than its state says nothing about its state.
    (!fault.is_refusal()).then(|| state.silent(told, &upstream.health))
}

fn quoted(
    upstream: &ApiUpstream,
    (status, body): (u16, &Bytes),
    tip: Option<Slot>,
    (started, now): (Instant, Instant),
) -> (ApiFitness, ApiFitness) {
    let state = &upstream.state;
    // A quote for nothing, or without the slot of its markets, says nothing about them.
    let usable = |facts: &QuoteFacts| facts.out_amount > 0 && facts.context_slot.is_some();
    let Some(facts) = QuoteFacts::read(body).filter(usable) else {
        state.metrics.bad.inc();
        return state.silent(CanaryFault::answer(status, None), &upstream.health);
    };
    if !asked(upstream).is_some_and(|asked| asked.is_answered_by(&facts)) {
        state.metrics.bad.inc();
        let fault = CanaryFault::answer(status, Some(ApiFault::WrongQuote));
        return state.silent(fault, &upstream.health);
    }
    state.metrics.good.inc();
    *state.canary_fault.lock() = None;
    state.probed(started, now);
    state.quoted(facts.context_slot, tip, now, &upstream.health)
}

fn tell(upstream: &ApiUpstream, (before, after): (ApiFitness, ApiFitness)) {
    if before == after {
        return;
    }
    let (id, lag) = (upstream.id(), upstream.state.lag());
    match after {
        ApiFitness::Fit => tracing::info!(upstream = id, "Jupiter upstream healthy"),
        ApiFitness::Lagging => {
            tracing::warn!(
                upstream = id,
                slots = lag,
                "Jupiter upstream serves stale market data; skipping it"
            );
        }
        ApiFitness::Failing | ApiFitness::Unknown => {
            let fault = upstream.state.canary_fault.lock().clone();
            let (cause, cure) = fault.map(|fault| (fault.cause, fault.cure)).unzip();
            tracing::warn!(
                upstream = id,
                cause,
                cure,
                "Jupiter upstream failing: no canary quotes; skipping it"
            );
        }
    }
}

/// What a canary has to be for; `None` if its mints are not addresses, which the configuration refuses.
fn asked(upstream: &ApiUpstream) -> Option<AskedSwap> {
    let canary = &upstream.health.canary;
    Some(AskedSwap {
        input_mint: canary.input_mint.parse().ok()?,
        output_mint: canary.output_mint.parse().ok()?,
        amount: canary.amount,
        mode: SwapMode::ExactIn,
    })
}

fn request(upstream: &ApiUpstream) -> Option<ApiRequest> {
    let canary = &upstream.health.canary;
    let route = ApiRoute::of("/swap/v1/quote")?;
    let query = format!(
        "inputMint={}&outputMint={}&amount={}&slippageBps=50",
        canary.input_mint, canary.output_mint, canary.amount
    );
    Some(ApiRequest {
        method: Method::GET,
        target: upstream.target(&route, &query)?,
        fields: vec![("accept", Bytes::from_static(b"application/json"))],
        body: Bytes::new(),
    })
}
