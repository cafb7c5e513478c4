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
//! upstream ─▶ keep it ─▶ tell those who wait ────────────────────▶ miss
//!        └ failed ─▶ something past its time, within bounds ─────▶ stale
//! ```

use std::sync::Arc;

use perijove_core::Slot;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use super::Request;
use super::cache_use::{CacheStatus, CacheUse};
use super::call::{deliver, dispatch};
use super::part::{Part, Reply};
use super::question::{Found, Question};
use super::shared::{Failure, Shared};
use crate::cache::{Entry, Freshness, Key, Lead, Lookup, Role, Source, Tier, Told};
use crate::dispatch::{Delivered, Payload, Trace};
use crate::error::Rejection;
use crate::jsonrpc::{Answer, Id};
use crate::solana::{self, SlotView};
use crate::upstream::Upstream;

/// Leaders that may fail before those who wait for them give up.
const PATIENCE: u32 = 1;

impl Question<'_> {
    /// Answers the call from wherever the answer is.
    pub(super) async fn answer(&self, id: &Id) -> Reply {
        let mut old = None;
        if self.reads()
            && let Some(view) = self.view()
        {
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
                self.request.pipeline.cache.metrics.hit(self.class);
                return self.whole(answer, id, CacheStatus::Hit, Trace::default());
            }
        }
        let (told, status) = self.fetch().await;
        self.reply(told, status, old, id)
    }

    /// Asks an upstream, or waits for somebody who does.
    async fn fetch(&self) -> (Fetched, CacheStatus) {
        // Who wants an answer of now is not served by a call that began before.
        let joins =
            self.request.cache_use == CacheUse::Normal && self.request.snapshot.cache.coalesces();
        if !joins {
            return (self.ask(None).await, CacheStatus::Miss);
        }
        let mut patience = PATIENCE;
        loop {
            let follow = match self.join() {
                Role::Lead(lead) => return self.lead(lead).await,
                Role::Follow(follow) => follow,
            };
            let Ok(told) = timeout_at(self.request.deadline, follow.wait()).await else {
                return (Fetched::Rejected(out_of_time()), CacheStatus::Coalesced);
            };
            let shared = match told {
                Told::HandedOver => continue,
                Told::Settled(shared) => shared,
            };
            match shared {
                Shared::Failed(_) if patience > 0 => patience -= 1,
                Shared::Unshared => return (self.ask(None).await, CacheStatus::Miss),
                shared if self.suits(&shared) => {
                    self.request.pipeline.cache.metrics.coalesced(self.class);
                    return (Fetched::Shared(shared), CacheStatus::Coalesced);
                }
                // It is behind what this caller was told before.
                _ => return (self.ask(None).await, CacheStatus::Miss),
            }
        }
    }

    /// Makes the call that others wait for.
    async fn lead(&self, lead: Lead<Shared>) -> (Fetched, CacheStatus) {
        if self.reads()
            && let Some(entry) = self.known_meanwhile().await
        {
            lead.settle(Shared::Known(Arc::clone(&entry)));
            return (Fetched::Shared(Shared::Known(entry)), CacheStatus::Hit);
        }
        (self.ask(Some(lead)).await, CacheStatus::Miss)
    }

    /// What became known since the first look, to this replica or to another.
    async fn known_meanwhile(&self) -> Option<Arc<Entry>> {
        if let Found::Fresh(entry) = self.look_up(&self.view()?) {
            return Some(entry);
        }
        let cache = &self.request.pipeline.cache;
        let remote = cache.remote()?;
        // All at once: one deadline for all of them.
        let keys: SmallVec<[Key; 2]> = self.keys().collect();
        let looked_up = remote.get_many(&keys).await;
        for (key, looked_up) in keys.into_iter().zip(looked_up) {
            let found = self.judge_remote(looked_up);
            let result = found.as_ref().map_or_else(|why| *why, |_entry| Lookup::Hit);
            cache.metrics.lookup(Tier::Redis, result);
            if let Ok(entry) = found {
                cache.memory.put(key, Arc::clone(&entry));
                return Some(entry);
            }
        }
        None
    }

    fn judge_remote(&self, looked_up: Result<Entry, Lookup>) -> Result<Arc<Entry>, Lookup> {
        let entry = looked_up?;
        let view = self.view().ok_or(Lookup::Unfit)?;
        match self.weigh(&entry, &view) {
            Some(Freshness::Fresh | Freshness::Settled) => Ok(Arc::new(entry)),
            Some(Freshness::Stale(_)) => Err(Lookup::Expired),
            None => Err(Lookup::Unfit),
        }
    }

    /// Asks upstreams, keeps what they say, and tells those who wait.
    async fn ask(&self, lead: Option<Lead<Shared>>) -> Fetched {
        let before = self.view();
        let (delivered, trace) = match self.ask_for_the_rest().await {
            Some(composed) => composed,
            None => dispatch(self.request, self.call, self.class).await,
        };
        if let Some(before) = before {
            self.keep(&delivered, &trace, &before);
        }
        if let Some(lead) = lead {
            lead.settle(Shared::of(&delivered, &trace));
        }
        Fetched::Asked(delivered, trace)
    }

    /// `before` is where the cluster stood when the upstream was asked.
    fn keep(&self, delivered: &Delivered, trace: &Trace, before: &SlotView) {
        let Delivered::Payload(Payload::Whole(answer)) = delivered else {
            return;
        };
        let snapshot = &self.request.snapshot;
        let (Some(upstream), true) = (&trace.upstream, snapshot.cache.keeps(self.class.method))
        else {
            return;
        };
        let Some(view) = self.view() else { return };
        let dated = solana::keep(self.class, self.call.params(), answer);
        let source = Source {
            upstream: upstream.name(),
            reached: self.reached_before(upstream, before, &view),
        };
        let shelved = snapshot
            .cache
            .shelve(answer, &dated, self.class, &view, &source);
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
    }

    /// The slot an upstream had reached when it was asked, as far as can be told now: as far behind
    /// where it is as the cluster was then behind where it is.
    fn reached_before(
        &self,
        upstream: &Upstream,
        before: &SlotView,
        now: &SlotView,
    ) -> Option<Slot> {
        let reached = upstream.live().slot(self.class.context.commitment)?;
        let passed = before.now.lag_behind(now.now);
        Some(Slot(reached.0.saturating_sub(passed)))
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
        let (call, class) = (self.call.clone(), *self.class);
        drop(tokio::spawn(async move {
            if let Some(question) = Question::of(&request, &call, &class) {
                drop(question.ask(Some(lead)).await);
            }
        }));
    }

    /// Joins the same call if it is under way and did not begin too long ago.
    fn join(&self) -> Role<Shared> {
        let flights = &self.request.pipeline.flights;
        let Some(view) = self.view() else {
            return flights.join(self.flight);
        };
        let slots = self.request.snapshot.cache.joins_for(self.class);
        flights.join_within(self.flight, view.now, slots)
    }

    /// Whether a shared answer does not lead this caller back.
    fn suits(&self, shared: &Shared) -> bool {
        let result = match shared {
            Shared::Known(entry) => entry.result(),
            Shared::Answer(answer, _) => answer.result(),
            Shared::Failed(_) | Shared::Unshared => None,
        };
        !result.is_some_and(|result| self.session().goes_backwards(result))
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
            Fetched::Asked(delivered, trace) => deliver(delivered, id, trace, label).cached(status),
            Fetched::Rejected(rejection)
            | Fetched::Shared(Shared::Failed(Failure::Rejected(rejection))) => {
                Reply::rejected(&rejection, id, label).cached(status)
            }
            Fetched::Shared(Shared::Known(entry)) => self.known(&entry, id, status),
            Fetched::Shared(
                Shared::Answer(answer, upstream) | Shared::Failed(Failure::Said(answer, upstream)),
            ) => {
                if let Some(result) = answer.result() {
                    self.session().raise_floor(result);
                }
                let trace = Trace {
                    upstream,
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
            Some(result) => {
                self.session().raise_floor(result);
                "ok"
            }
            None => "error",
        };
        self.request.pipeline.cache.metrics.hit(self.class);
        let part = Part::Whole(entry.spliced(id));
        let label = self.class.method.label();
        Reply::upstream(part, label, outcome, Trace::default()).cached(status)
    }

    fn whole(&self, answer: Answer, id: &Id, status: CacheStatus, trace: Trace) -> Reply {
        let delivered = Delivered::Payload(Payload::Whole(answer));
        deliver(delivered, id, trace, self.class.method.label()).cached(status)
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
