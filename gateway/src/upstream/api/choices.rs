//! The upstreams for one request of Jupiter's API, in the order in which they are asked.

use std::sync::Arc;

use perijove_core::Slot;
use tokio::time::Instant;

use super::ApiUpstream;
use super::candidate::ApiCandidate;
use super::pool::ApiChoice;
use crate::jupiter::Product;
use crate::solana::Capability;
use crate::upstream::peer::{Choices, Outlook, Paused};

/// Further ones in an order are not looked at.
const MOST_CONSIDERED: u32 = u64::BITS;

/// The upstreams of a choice, each returned at most once.
#[derive(Debug)]
pub struct ApiChoices<'a> {
    choice: &'a ApiChoice,
    product: Product,
    /// At most this many are returned.
    most: u32,
    returned: u32,
    /// Those that were returned or passed over, by their place in the order.
    gone: u64,
    /// The request has failed on all of them before.
    further: bool,
}

impl<'a> ApiChoices<'a> {
    /// At most `most` of them.
    pub fn new(choice: &'a ApiChoice, product: Product, most: u32) -> Self {
        Self {
            choice,
            product,
            most,
            returned: 0,
            gone: 0,
            further: false,
        }
    }

    /// Those that are left, with their places.
    fn left(&self) -> impl Iterator<Item = (u32, &'a Arc<ApiUpstream>)> + use<'a> {
        let gone = self.gone;
        (0..MOST_CONSIDERED)
            .zip(&self.choice.order)
            .filter(move |(place, _)| gone & (1_u64 << *place) == 0)
    }
}

impl Choices for ApiChoices<'_> {
    type Chosen = ApiCandidate;

    /// The next one to ask; `None` if enough were returned or none may be asked.
    fn next(&mut self, now: Instant) -> Option<ApiCandidate> {
        if self.returned >= self.most {
            return None;
        }
        let first = self.returned == 0 && !self.further;
        let mut left = self.left().peekable();
        while let Some((place, upstream)) = left.next() {
            self.gone |= 1_u64 << place;
            // A hold-off may have begun since the choice was made.
            if !first && upstream.is_held_off(self.product, now) {
                continue;
            }
            // The last one is asked whatever its breaker says.
            let forced = first && (left.peek().is_none() || self.choice.order.len() == 1);
            // Others may have used the budget up since the choice was made.
            if let Some(candidate) = upstream.admit(self.product, now, forced) {
                self.returned += 1;
                return Some(candidate);
            }
        }
        None
    }

    fn outlook(&self, now: Instant) -> Outlook {
        if self.returned >= self.most {
            return Outlook::Nobody;
        }
        let mut left = self.left();
        let next = left.find(|(_, upstream)| upstream.may_be_asked(self.product, now));
        match next {
            None => Outlook::Nobody,
            Some((_, upstream)) if upstream.is_fit(now) => Outlook::Fit,
            Some(_) => Outlook::Left,
        }
    }

    fn once_more(self) -> Self {
        Self {
            returned: 0,
            gone: 0,
            further: true,
            ..self
        }
    }

    fn return_again(&mut self, upstream: &Arc<ApiUpstream>) {
        let mut order = (0..MOST_CONSIDERED).zip(&self.choice.order);
        let found = order.find(|(_, one)| Arc::ptr_eq(one, upstream));
        if let Some((place, _)) = found {
            self.gone &= !(1_u64 << place);
            self.returned = self.returned.saturating_sub(1);
        }
    }

    /// Which of them only a pause keeps from being asked.
    fn paused(&self, now: Instant) -> Paused {
        let order = &self.choice.order;
        let waits = order
            .iter()
            .filter_map(|one| one.limited(self.product, now));
        // Where only one upstream can serve the request, others do not matter.
        let others = self
            .choice
            .wait
            .filter(|_| self.most > 1 || order.is_empty());
        let refuses = |one: &Arc<ApiUpstream>| one.refuses(self.product, now);
        Paused {
            limited: waits.chain(others).min(),
            unpaid: false,
            key_refused: self.choice.refused || order.iter().any(refuses),
        }
    }

    /// Whoever costs money may be asked as well: its hedges are always paid for.
    fn any_hedge(&self, now: Instant, _charging: bool) -> bool {
        self.any_fit(now)
    }

    fn next_hedge(&mut self, now: Instant, _charging: bool) -> Option<ApiCandidate> {
        self.next(now)
    }

    /// All have the same capabilities.
    fn narrow(&mut self, _capability: Capability) {}

    /// Sessions see no slots of Jupiter's.
    fn aim_at(&mut self, _floor: Option<Slot>, now: Instant) -> bool {
        self.any_fit(now)
    }
}
