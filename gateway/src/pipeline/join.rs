//! Step 8: a call waits for an identical call in flight, if there is one, instead of being sent
//! again.

use tokio::time::timeout_at;

use super::cache_use::CacheUse;
use super::cacheable::CacheableCall;
use super::shared_outcome::SharedOutcome;
use crate::cache::{FlightRole, FollowerOutcome, Leader, SingleFlight};
use crate::solana::{self, SlotView};

/// Leaders that may fail before a follower stops waiting.
const FAILED_LEADERS: u32 = 1;

/// What a call has to do after it tried to join.
pub(super) enum Joined {
    /// Nothing more: the call it waited for ended like this.
    Shared(SharedOutcome),
    /// Nothing more: its deadline passed while it waited.
    TimedOut,
    /// Make the call, for others as well.
    Leads(Leader<SharedOutcome>),
    /// Make the call for itself only.
    Alone,
}

impl CacheableCall<'_> {
    /// Waits for an identical call in flight, or becomes its leader.
    pub(super) async fn join(&self) -> Joined {
        // A caller that wants a fresh answer must not get that of an earlier call.
        let joins =
            self.request.cache_use == CacheUse::Normal && self.request.snapshot.cache.coalesces();
        if !joins {
            return Joined::Alone;
        }
        let _step = self.step("single_flight");
        let mut failed_leaders = 0;
        loop {
            let follower = match self.join_flight() {
                FlightRole::Lead(leader) => return Joined::Leads(leader),
                FlightRole::Follow(follower) => follower,
            };
            follower.needs(self.request.ask(self.class).priority);
            let joined_at = self.view();
            let Ok(outcome) = timeout_at(self.request.context.deadline, follower.wait()).await
            else {
                return Joined::TimedOut;
            };
            let shared = match outcome {
                FollowerOutcome::HandedOver => continue,
                FollowerOutcome::Settled(shared) => shared,
            };
            match shared {
                SharedOutcome::Unshared => return Joined::Alone,
                shared if self.suits(&shared, joined_at.as_ref()) => return Joined::Shared(shared),
                _ if failed_leaders < FAILED_LEADERS => failed_leaders += 1,
                failed @ SharedOutcome::Failed(_) => return Joined::Shared(failed),
                _ => return Joined::Alone,
            }
        }
    }

    /// Joins an identical call in flight, if it did not begin too long ago.
    pub(super) fn join_flight(&self) -> FlightRole<SharedOutcome> {
        self.join_one_of(&self.request.pipeline.single_flight)
    }

    /// Joins an identical refresh whose answer is not stored yet, if it did not begin too long ago.
    pub(super) fn join_refresh(&self) -> FlightRole<()> {
        self.join_one_of(&self.request.pipeline.refreshes)
    }

    fn join_one_of<T>(&self, single_flight: &SingleFlight<T>) -> FlightRole<T> {
        let Some(view) = self.view() else {
            return single_flight.join(self.keys.in_flight);
        };
        let slots = self.request.snapshot.cache.joins_for(self.class);
        single_flight.join_within(self.keys.in_flight, view.now, slots)
    }

    /// Whether a shared answer is valid for this caller: not older than what it was shown, and not
    /// expired when it asked, at `joined`.
    fn suits(&self, shared: &SharedOutcome, joined: Option<&SlotView>) -> bool {
        let result = match shared {
            SharedOutcome::Failed(_) | SharedOutcome::Unshared => return false,
            SharedOutcome::Known(entry) => entry.result(),
            SharedOutcome::Answer(_, Some(upstream)) if upstream.is_of_other_cluster() => {
                return false;
            }
            SharedOutcome::Answer(answer, _) => answer.result(),
        };
        // An error that concerns the call is the same at any time.
        let Some(result) = result else { return true };
        let heads = self.session.heads(result);
        !self.was_over(result, joined) && !self.session.goes_backwards(&heads)
    }

    /// Whether an answer that contains its slot had expired at `joined`.
    fn was_over(&self, result: &[u8], joined: Option<&SlotView>) -> bool {
        let read_at = || {
            let wrapped = self.class.profile().wrapped;
            wrapped.then(|| solana::context_slot(result)).flatten()
        };
        let slots = self.request.snapshot.cache.slots(self.class);
        let expected = joined.and_then(|view| view.expected(self.class.context.commitment));
        match (slots, expected, read_at()) {
            // An answer that is never kept may be of the slot the call began in.
            (Some(slots), Some(expected), Some(read_at)) => {
                read_at.0.saturating_add(slots.max(1)) <= expected.0
            }
            _ => false,
        }
    }
}
