//! Steps 7 and 8, and the keeping half of 12: answers that are known already, and calls that are
//! being made already.
//!
//! ```text
//! memory ─ true ─────────────────────────────────────────────────▶ hit
//!   │    └ past its time, within bounds ─▶ one call refreshes it ─▶ stale
//!   ▼
//! the same call under way? ─ wait for it ─ good ─────────────────▶ coalesced
//!   │ no: lead                    └ failed ─▶ once more from here
//!   ▼
//! Redis ─ true ──────────────────────────────────────────────────▶ hit
//!   ▼
//! another gateway makes it? (if configured) ─ wait for it ───────▶ coalesced
//!   ▼
//! upstream ─▶ keep it ─▶ tell those who wait ────────────────────▶ miss
//!        └ failed ─▶ something past its time, within bounds ─────▶ stale
//! ```

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::Request;
use super::cache_use::{CacheStatus, CacheUse};
use super::call::{deliver, dispatch};
use super::elsewhere::Elsewhere;
use super::part::{Part, Reply};
use super::question::{Found, Question};
use super::shared::{Failure, Shared};
use crate::cache::{Claim, Entry, Freshness, Lead, Role, Shelf, Source, Told};
use crate::dispatch::{Delivered, Payload, ToldHeads, Trace};
use crate::error::Rejection;
use crate::jsonrpc::{Answer, Id};
use crate::solana::{self, SlotView};

/// Leaders that may fail before those who wait for them give up.
const PATIENCE: u32 = 1;

/// From this size on an answer is not copied for each who gets it. Below, a copy is cheaper than to
/// send pieces.
const LARGE: usize = 8 * 1024;

impl Question<'_> {
    /// Answers the call from wherever the answer is.
    pub(super) async fn answer(&self, id: &Id) -> Reply {
        let mut old = None;
        if self.reads()
            && let Some(view) = self.view()
        {
            self.count_read();
            match self.look_up(&view) {
                Found::Fresh(entry) => return self.known(&entry, id, CacheStatus::Hit),
                Found::Stale(entry, past)
                    if past <= self.request.snapshot.cache.stale_while_revalidate() =>
                {
                    self.refresh();
                    return self.known(&entry, id, CacheStatus::Stale);
                }
                Found::Stale(entry, _) => old = Some(entry),
                Found::Nothing => {}
            }
            if let Some(answer) = self.composed(&view) {
                let trace = Trace {
                    told: self.tell(&answer),
                    ..Trace::default()
                };
                self.count(CacheStatus::Hit);
                return self.whole(answer, id, CacheStatus::Hit, trace);
            }
        }
        // Not a part of what a hit is: it takes some kilobytes to wait in.
        let (told, status) = Box::pin(self.fetch()).await;
        self.reply(told, status, old, id)
    }

    /// Asks an upstream, or waits for somebody who does.
    async fn fetch(&self) -> (Fetched, CacheStatus) {
        // Who wants an answer of now is not served by a call that began before.
        let joins =
            self.request.cache_use == CacheUse::Normal && self.request.snapshot.cache.coalesces();
        if !joins {
            return (self.ask(None, None).await, CacheStatus::Miss);
        }
        let mut patience = PATIENCE;
        loop {
            let follow = match self.join() {
                Role::Lead(lead) => return self.lead(lead).await,
                Role::Follow(follow) => follow,
            };
            let joined = self.view();
            let Ok(told) = timeout_at(self.request.deadline, follow.wait()).await else {
                return (Fetched::Rejected(out_of_time()), CacheStatus::Coalesced);
            };
            let shared = match told {
                Told::HandedOver => continue,
                Told::Settled(shared) => shared,
            };
            match shared {
                Shared::Unshared => return (self.ask(None, None).await, CacheStatus::Miss),
                shared if self.suits(&shared, joined.as_ref()) => {
                    return (Fetched::Shared(shared), CacheStatus::Coalesced);
                }
                _ if patience > 0 => patience -= 1,
                failed @ Shared::Failed(_) => {
                    return (Fetched::Shared(failed), CacheStatus::Coalesced);
                }
                _ => return (self.ask(None, None).await, CacheStatus::Miss),
            }
        }
    }

    /// Makes the call that others wait for.
    async fn lead(&self, lead: Lead<Shared>) -> (Fetched, CacheStatus) {
        let elsewhere = if self.reads() {
            self.known_elsewhere().await
        } else {
            Elsewhere::Nothing(None)
        };
        let (entry, status) = match elsewhere {
            Elsewhere::Known(entry) => (entry, CacheStatus::Hit),
            Elsewhere::Fetched(entry) => (entry, CacheStatus::Coalesced),
            Elsewhere::Nothing(claim) => {
                return (self.ask(Some(lead), claim).await, CacheStatus::Miss);
            }
        };
        lead.settle(Shared::Known(Arc::clone(&entry)));
        (Fetched::Shared(Shared::Known(entry)), status)
    }

    /// Asks upstreams, keeps what they say, and tells those who wait.
    async fn ask(&self, lead: Option<Lead<Shared>>, claim: Option<Claim>) -> Fetched {
        let (delivered, trace) = match self.ask_for_the_rest().await {
            Some(composed) => composed,
            None => dispatch(self.request, self.call, self.class, &self.session).await,
        };
        let kept = self.keep(&delivered, &trace);
        if let Some(claim) = claim
            && kept
        {
            claim.kept();
        }
        if let Some(lead) = lead {
            lead.settle(Shared::of(&delivered, &trace));
        }
        Fetched::Asked(delivered, trace)
    }

    /// Keeps an answer if it may be, and says whether it was the whole one.
    pub(super) fn keep(&self, delivered: &Delivered, trace: &Trace) -> bool {
        let Delivered::Payload(Payload::Whole(answer)) = delivered else {
            return false;
        };
        // Another upstream may have what this one says is not there.
        if trace.unproven {
            return false;
        }
        let snapshot = &self.request.snapshot;
        let (Some(upstream), true) = (&trace.upstream, snapshot.cache.keeps(self.class.method))
        else {
            return false;
        };
        let pool = &snapshot.pool;
        let generation = pool.generation();
        let Some(view) = self.view().filter(|_| !upstream.is_stranger()) else {
            return false;
        };
        let dated = solana::keep(self.class, self.call.params(), answer);
        let source = Source {
            upstream: upstream.name(),
            reached: trace.reached,
        };
        let shelved = snapshot
            .cache
            .shelve(answer, &dated, self.class, &view, &source);
        // For good only from an upstream that has shown to be of this cluster.
        let trusted = |shelf| shelf != Shelf::Settled || upstream.is_of(&self.places.cluster);
        let shelved = shelved.filter(|(shelf, _)| trusted(*shelf));
        let kept = shelved.is_some();
        if let Some((shelf, entry)) = shelved {
            let cache = &self.request.pipeline.cache;
            let slots = entry.remaining(&view).unwrap_or_default();
            let lives = snapshot
                .config
                .cluster
                .slot_time
                .saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX));
            cache.put(self.key(shelf), &Arc::new(entry), lives);
        }
        self.keep_accounts(answer, &view, &source);
        self.request.pipeline.forget_since(generation, pool);
        kept
    }

    /// Fetches the answer anew, unless somebody does so already.
    fn refresh(&self) {
        let Role::Lead(lead) = self.join() else {
            return;
        };
        let request = Request {
            started: Instant::now(),
            deadline: Instant::now() + self.request.snapshot.config.limits.request_timeout,
            ..self.request.clone()
        };
        let (call, meaning) = (self.call.clone(), Arc::clone(self.meaning));
        drop(tokio::spawn(async move {
            if let Some(question) = Question::of(&request, &call, &meaning)
                && let Fetched::Asked(delivered, trace) = question.ask(Some(lead), None).await
            {
                question.read_to_the_end(delivered, &trace).await;
            }
        }));
    }

    /// Joins the same call if it is under way and did not begin too long ago.
    fn join(&self) -> Role<Shared> {
        let flights = &self.request.pipeline.flights;
        let Some(view) = self.view() else {
            return flights.join(self.places.flight);
        };
        let slots = self.request.snapshot.cache.joins_for(self.class);
        flights.join_within(self.places.flight, view.now, slots)
    }

    /// Whether a shared answer is one for this caller: it does not lead him back, and was still true
    /// when he asked, at `joined`.
    fn suits(&self, shared: &Shared, joined: Option<&SlotView>) -> bool {
        let result = match shared {
            Shared::Failed(_) | Shared::Unshared => return false,
            Shared::Known(entry) => entry.result(),
            Shared::Answer(_, Some(upstream)) if upstream.is_stranger() => return false,
            Shared::Answer(answer, _) => answer.result(),
        };
        // An error that is the call's own is the same at any time.
        let Some(result) = result else { return true };
        let heads = self.session.heads(result);
        !self.was_over(result, joined) && !self.session.goes_backwards(&heads)
    }

    /// Whether an answer that names its slot was past its time already at `joined`.
    fn was_over(&self, result: &[u8], joined: Option<&SlotView>) -> bool {
        let read_at = || {
            let wrapped = self.class.profile().wrapped;
            wrapped.then(|| solana::context_slot(result)).flatten()
        };
        let slots = self.request.snapshot.cache.slots(self.class);
        let expected = joined.and_then(|view| view.expected(self.class.context.commitment));
        match (slots, expected, read_at()) {
            // What is never kept may be of the slot the call began in.
            (Some(slots), Some(expected), Some(read_at)) => {
                read_at.0.saturating_add(slots.max(1)) <= expected.0
            }
            _ => false,
        }
    }
}

/// Where an answer that was not in memory came from.
pub(super) enum Fetched {
    Asked(Delivered, Trace),
    Shared(Shared),
    Rejected(Rejection),
}

fn out_of_time() -> Rejection {
    Rejection::NoUpstream {
        reason: "no upstream could answer",
    }
}

impl Question<'_> {
    fn reply(
        &self,
        fetched: Fetched,
        status: CacheStatus,
        old: Option<Arc<Entry>>,
        id: &Id,
    ) -> Reply {
        if fetched.is_failure()
            && let Some(entry) = old
            && self.may_stand_in(&entry)
        {
            return self.known(&entry, id, CacheStatus::Stale);
        }
        let label = self.class.method.label();
        match fetched {
            Fetched::Asked(delivered, trace) => {
                let copying = self.copying(&delivered, &trace);
                deliver(delivered, id, trace, label, copying).cached(status)
            }
            Fetched::Rejected(rejection)
            | Fetched::Shared(Shared::Failed(Failure::Rejected(rejection))) => {
                Reply::rejected(&rejection, id, label).cached(status)
            }
            Fetched::Shared(Shared::Known(entry)) => self.known(&entry, id, status),
            Fetched::Shared(
                Shared::Answer(answer, upstream) | Shared::Failed(Failure::Said(answer, upstream)),
            ) => {
                if answer.result().is_some() {
                    self.count(status);
                }
                let trace = Trace {
                    upstream,
                    told: self.tell(&answer),
                    ..Trace::default()
                };
                self.whole(answer, id, status, trace)
            }
            Fetched::Shared(Shared::Unshared) => {
                Reply::rejected(&out_of_time(), id, label).cached(status)
            }
        }
    }

    /// Whether an answer past its time is better than the failure there is instead.
    fn may_stand_in(&self, entry: &Entry) -> bool {
        let bound = self.request.snapshot.cache.stale_if_error();
        let Some(view) = self.view() else {
            return false;
        };
        match self.weigh(entry, &view) {
            Some(Freshness::Fresh | Freshness::Settled) => true,
            Some(Freshness::Stale(past)) => past <= bound,
            None => false,
        }
    }

    fn known(&self, entry: &Entry, id: &Id, status: CacheStatus) -> Reply {
        let outcome = match entry.result() {
            Some(_) => "ok",
            None => "error",
        };
        let trace = Trace {
            told: self.session.tell(&self.heads(entry)),
            ..Trace::default()
        };
        self.count(status);
        let part = if entry.answer.body().len() < LARGE {
            Part::Whole(entry.spliced(id))
        } else {
            Part::Shared(entry.answer.pieces(id))
        };
        let label = self.class.method.label();
        Reply::upstream(part, label, outcome, trace).cached(status)
    }

    /// Remembers what the client is told.
    fn tell(&self, answer: &Answer) -> ToldHeads {
        let result = answer.result();
        let heads = result.map(|result| self.session.heads(result));
        heads.map_or_else(ToldHeads::default, |heads| self.session.tell(&heads))
    }

    /// Counts a call that no upstream was asked for.
    fn count(&self, status: CacheStatus) {
        let metrics = &self.request.pipeline.cache.metrics;
        match status {
            CacheStatus::Hit => metrics.hit(self.class),
            CacheStatus::Coalesced => metrics.coalesced(self.class),
            // An upstream is asked because of it, or was.
            CacheStatus::Stale | CacheStatus::Miss | CacheStatus::Bypass => {}
        }
    }

    fn whole(&self, answer: Answer, id: &Id, status: CacheStatus, trace: Trace) -> Reply {
        let delivered = Delivered::Payload(Payload::Whole(answer));
        deliver(delivered, id, trace, self.class.method.label(), None).cached(status)
    }
}

impl Fetched {
    /// Whether no upstream could say anything about the matter.
    fn is_failure(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Shared(Shared::Failed(_)) => true,
            Self::Asked(delivered, trace) => {
                matches!(Shared::of(delivered, trace), Shared::Failed(_))
            }
            Self::Shared(_) => false,
        }
    }
}
