//! Upstreams as attempts see them, of whichever kind: who may be asked next, the one that was chosen
//! for an attempt, and what can be said of an attempt under way.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::config::{Propagate, Timeouts};
use crate::solana::Capability;
use crate::upstream::client::reply::AttemptLimits;
use crate::upstream::client::{ReplyTo, WireRequest};
use crate::upstream::transport::fault::TransportFault;

/// An upstream.
pub trait Peer: Send + Sync + 'static {
    /// The name in metrics, logs and headers.
    fn name(&self) -> &Arc<str>;

    /// Host and port.
    fn address(&self) -> (&str, u16);

    fn timeouts(&self) -> &Timeouts;

    /// What it is told of the request that it is asked for.
    fn propagate(&self) -> Propagate;

    /// Whether nothing is known to be wrong with it.
    fn is_healthy(&self) -> bool;

    /// It is asked while another attempt is unanswered.
    fn hedged(&self) {}

    /// Its answer to such a request was the first usable one.
    fn won_hedge(&self) {}
}

/// An upstream chosen for one attempt. While it lives the request counts as in progress; dropped
/// without a judgement, nothing counts against the upstream.
pub trait ChosenPeer: Send + Sync + 'static {
    type Peer: Peer;
    type Witness: AttemptWitness<Peer = Self::Peer>;

    fn peer(&self) -> &Arc<Self::Peer>;

    /// Sees what becomes of the attempt that the upstream is chosen for.
    fn witness(&self) -> Self::Witness;

    /// Sends `request`. Cancel-safe: dropping the future closes the connection in use, or its stream.
    fn attempt<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
    ) -> impl Future<Output = Result<ReplyTo<R>, TransportFault>> + Send;

    /// As if a request had been written.
    #[cfg(test)]
    fn write(&self);
}

/// Sees an attempt whose [`ChosenPeer`] is with the attempt.
pub trait AttemptWitness: Send + Sync + Unpin + 'static {
    type Peer: Peer;

    fn peer(&self) -> &Arc<Self::Peer>;

    /// Whether the upstream may have seen the request. An attempt that still waits for a connection
    /// says nothing about the upstream.
    fn is_written(&self) -> bool;
}

/// Upstreams that only a pause keeps from being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paused {
    /// The shortest time until a rate-limited one may be asked again.
    pub limited: Option<Duration>,
    /// None of these has limited anything: their own budgets are spent.
    pub unpaid: bool,
    /// Some refuse the gateway's key.
    pub key_refused: bool,
}

/// The prospects of the next upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// None is worth asking.
    Nobody,
    /// One that may be asked.
    Left,
    /// One that another attempt does not harm: healthy, not failing, and with a free connection.
    Fit,
}

/// The upstreams for one request, each returned at most once.
pub trait Choices: Send {
    type Chosen: ChosenPeer;

    /// Whether the next one may be asked while another attempt is in flight: either may answer then, and
    /// both answers have to be as good for the caller.
    fn suits_others(&self, _now: Instant) -> bool {
        true
    }

    /// The next one to ask; `None` if all were returned or none may be asked.
    fn next(&mut self, now: Instant) -> Option<Self::Chosen>;

    /// Whether [`Choices::next_hedge`] would return one.
    fn any_hedge(&self, now: Instant, charging: bool) -> bool;

    /// The next one for a hedge: a healthy one, and one that costs money only if `charging` is true.
    fn next_hedge(&mut self, now: Instant, charging: bool) -> Option<Self::Chosen>;

    /// The prospects of the next one.
    fn outlook(&self, now: Instant) -> Outlook;

    /// Whether one that may be asked is left.
    fn any_left(&self, now: Instant) -> bool {
        self.outlook(now) != Outlook::Nobody
    }

    /// Whether the next one is [fit](Outlook::Fit).
    fn any_fit(&self, now: Instant) -> bool {
        self.outlook(now) == Outlook::Fit
    }

    /// The same for a request that has failed on all of them before.
    #[must_use]
    fn once_more(self) -> Self;

    /// One that was returned may be returned again: the request was not sent to it.
    fn return_again(&mut self, peer: &Arc<<Self::Chosen as ChosenPeer>::Peer>);

    /// From here on only those assumed to have this.
    fn narrow(&mut self, capability: Capability);

    /// From here on those that may have reached `floor`. Returns whether the next is healthy.
    fn aim_at(&mut self, floor: Option<Slot>, now: Instant) -> bool;

    /// Which of them only a pause keeps from being asked, including those asked before.
    fn paused(&self, now: Instant) -> Paused;
}
