//! A limited number of places, granted by priority.
//!
//! **Order.** A free place goes to the highest class that waits; every [`AGED_TURN`]th goes to a call
//! that is [aged](Waiter::aged_at), of the class that has not had a place for longest. So no class
//! starves, however many calls of others there are, and however short they wait. Within a class
//! consumers take turns, so that one with many calls does not delay one with few. A plan with more
//! weight gives more turns in a row.
//!
//! **Shares.** The lower classes together leave some places free for those above, see
//! [`most_used`]. Heavy calls, which hold a place for seconds, get at most half of all places,
//! whatever their class.
//!
//! **Limit.** The queue is bounded. If it is full, a new call replaces the latest one of a lower
//! class, which is refused; if there is none, that of a consumer of its own class that has more calls
//! there by its weight, so that nobody fills a class; or else the new call is refused. A few calls of
//! each class wait all the same, see [`kept_waiting`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use crate::solana::Priority;
use permit_request::CLASSES;
pub use permit_request::{PermitClaim, PermitRequest};
use queue::{PriorityQueue, Waiter};

#[cfg(test)]
mod fairness_tests;
mod permit_request;
mod queue;
#[cfg(test)]
mod raised_tests;
#[cfg(test)]
mod tests;

/// Whoever has waited this long, or this part of the time that it may wait, gets every
/// [`AGED_TURN`]th place.
const AGED: Duration = Duration::from_secs(1);
const AGED_PART: u32 = 4;
const AGED_TURN: u32 = 8;

/// Percentage of all places that a class and those below it may use together.
const MOST_USED: [usize; CLASSES.len()] = [50, 75, 90, 95, 100];

/// Usage of a gate by one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InClass {
    pub class: &'static str,
    /// Places in use.
    pub in_use: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

/// Places for what runs at once.
#[derive(Debug)]
pub struct Gate {
    /// A copy of the state's value, readable without its lock.
    places: AtomicUsize,
    most_waiting: AtomicUsize,
    state: Mutex<GateState>,
}

#[derive(Debug, Default)]
struct GateState {
    places: usize,
    /// Places in use, by class.
    used: [usize; CLASSES.len()],
    heavy: usize,
    queue: PriorityQueue<GatePermit>,
    /// Places granted to waiting calls.
    granted: u32,
    /// Places granted at all, and the last of each class.
    taken: u64,
    last_taken: [u64; CLASSES.len()],
}

/// One place, in use until it is dropped.
#[derive(Debug)]
pub struct GatePermit {
    /// `None` once it was taken back in another way.
    gate: Option<Arc<Gate>>,
    ask: PermitRequest,
}

impl Drop for GatePermit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            let mut state = gate.state.lock();
            state.give_back(self.ask);
            gate.serve(&mut state);
        }
    }
}

/// How many places a class and those below it may use together: at least one, and all of them for
/// the highest.
fn most_used(places: usize, priority: Priority) -> usize {
    let percent = MOST_USED.get(priority as usize).copied().unwrap_or(100);
    places.saturating_mul(percent).div_ceil(100)
}

/// How many calls of each class may wait although those of higher classes fill the queue. Without
/// them a flood of a higher class would leave nothing to the rest.
fn kept_waiting(most_waiting: usize) -> usize {
    most_waiting.div_ceil(64)
}

impl Gate {
    /// `places` is at least 1. `most_waiting` bounds the queue.
    pub fn new(places: usize, most_waiting: usize) -> Arc<Self> {
        let places = places.max(1);
        Arc::new(Self {
            places: AtomicUsize::new(places),
            most_waiting: AtomicUsize::new(most_waiting),
            state: Mutex::new(GateState {
                places,
                ..GateState::default()
            }),
        })
    }

    /// Enlarges or shrinks it. Places in use are not taken away; waiting calls get new places at
    /// once.
    pub fn resize(self: &Arc<Self>, places: usize, most_waiting: usize) {
        let places = places.max(1);
        if self.most_waiting.load(Ordering::Relaxed) != most_waiting {
            self.most_waiting.store(most_waiting, Ordering::Relaxed);
        }
        if self.places.load(Ordering::Relaxed) == places {
            return;
        }
        let mut state = self.state.lock();
        self.places.store(places, Ordering::Relaxed);
        state.places = places;
        self.serve(&mut state);
    }

    /// How many places there are.
    pub fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    /// A place, if one is free for such a call.
    pub fn try_place(self: &Arc<Self>, ask: PermitRequest) -> Option<GatePermit> {
        let mut state = self.state.lock();
        // Calls wait because no place is free for them, so this overtakes nobody.
        if !state.is_free(ask) {
            return None;
        }
        state.take(ask);
        Some(self.given(ask))
    }

    /// Waits for a place. `None` if the call is refused because too many wait. Dropping the future
    /// leaves the queue; that will be the case after `patience`. A call whose class is raised meanwhile
    /// waits on in the higher class, and one that would be refused asks once more as one of that.
    pub async fn place<'a>(
        self: &Arc<Self>,
        claim: impl Into<PermitClaim<'a>>,
        patience: Duration,
    ) -> Option<GatePermit> {
        let claim = claim.into();
        let begun = Instant::now();
        loop {
            let ask = claim.ask();
            if let Some(place) = self.try_place(ask) {
                return Some(place);
            }
            let patience = patience.saturating_sub(begun.elapsed());
            tokio::select! {
                biased;
                place = self.wait(ask, patience) => match place {
                    None if claim.ask().priority > ask.priority => {}
                    place => return place,
                },
                () = claim.raised_above(ask) => {}
            }
        }
    }

    /// Waits for a place in one class.
    async fn wait(self: &Arc<Self>, ask: PermitRequest, patience: Duration) -> Option<GatePermit> {
        let (grant, granted) = oneshot::channel();
        let number = {
            let mut state = self.state.lock();
            let most_waiting = self.most_waiting.load(Ordering::Relaxed);
            let kept = kept_waiting(most_waiting);
            if !state.queue.make_room(ask, most_waiting, kept) {
                return None;
            }
            let number = state.queue.push(Waiter {
                ask,
                aged_at: Instant::now() + AGED.min(patience / AGED_PART),
                grant,
            });
            // A place may have become free meanwhile.
            self.serve(&mut state);
            number
        };
        let mut queued = QueuedRequest {
            gate: self,
            ask,
            number: Some(number),
        };
        let place = granted.await.ok();
        queued.number = None;
        place
    }

    /// Whether a call of this kind would have to wait.
    pub fn is_full_for(&self, ask: PermitRequest) -> bool {
        !self.state.lock().is_free(ask)
    }

    /// Places in use.
    pub fn used(&self) -> usize {
        self.state.lock().used()
    }

    /// Places in use and waiting calls, by class, from the lowest.
    pub fn by_class(&self) -> [InClass; CLASSES.len()] {
        let state = self.state.lock();
        let (used, waiting) = (state.used, state.queue.by_class());
        drop(state);
        let mut counted = used.into_iter().zip(waiting);
        CLASSES.map(|class| {
            let (in_use, waiting) = counted.next().unwrap_or_default();
            InClass {
                class: class.label(),
                in_use,
                waiting,
            }
        })
    }

    /// Calls that wait for a place.
    pub fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Gives free places to waiting calls.
    fn serve(self: &Arc<Self>, state: &mut GateState) {
        while !state.queue.is_empty() && state.used() < state.places {
            let aged = state.granted % AGED_TURN == AGED_TURN - 1;
            let aged = aged.then(|| (Instant::now(), &state.last_taken));
            let free = CLASSES.map(|priority| {
                [false, true].map(|heavy| {
                    state.is_free(PermitRequest {
                        heavy,
                        ..PermitRequest::own(priority)
                    })
                })
            });
            let Some(waiter) = state.queue.next(&free, aged) else {
                return;
            };
            state.granted = state.granted.wrapping_add(1);
            state.take(waiter.ask);
            if let Err(mut place) = waiter.grant.send(self.given(waiter.ask)) {
                // Its caller has just left. Dropping it as it is would lock the gate again.
                place.gate = None;
                state.give_back(waiter.ask);
            }
        }
    }

    fn given(self: &Arc<Self>, ask: PermitRequest) -> GatePermit {
        GatePermit {
            gate: Some(Arc::clone(self)),
            ask,
        }
    }
}

/// A place in the queue, given up when the call is dropped.
struct QueuedRequest<'a> {
    gate: &'a Gate,
    ask: PermitRequest,
    /// `None` once it has left the queue.
    number: Option<u64>,
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.gate.state.lock().queue.leave(self.ask, number);
        }
    }
}

impl GateState {
    fn is_free(&self, ask: PermitRequest) -> bool {
        let class = ask.priority as usize;
        let below: usize = self.used.iter().take(class + 1).sum();
        self.used() < self.places
            && below < most_used(self.places, ask.priority)
            && (!ask.heavy || self.heavy < self.places.div_ceil(2))
    }

    fn used(&self) -> usize {
        self.used.iter().sum()
    }

    fn take(&mut self, ask: PermitRequest) {
        self.taken += 1;
        if let Some(last) = self.last_taken.get_mut(ask.priority as usize) {
            *last = self.taken;
        }
        if let Some(used) = self.used.get_mut(ask.priority as usize) {
            *used += 1;
        }
        self.heavy += usize::from(ask.heavy);
    }

    fn give_back(&mut self, ask: PermitRequest) {
        if let Some(used) = self.used.get_mut(ask.priority as usize) {
            *used = used.saturating_sub(1);
        }
        self.heavy = self.heavy.saturating_sub(usize::from(ask.heavy));
    }
}
