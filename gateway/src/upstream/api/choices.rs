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
    /// The fee of the one returned last.
    fee: Option<u32>,
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
            fee: None,
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

impl ApiChoices<'_> {
    /// The next one that may be asked.
    fn upcoming(&self, now: Instant) -> Option<&Arc<ApiUpstream>> {
        let mut left = self.left().filter(|_| self.returned < self.most);
        let next = left.find(|(_, upstream)| upstream.may_be_asked(self.product, now));
        next.map(|(_, upstream)| upstream)
    }

    /// Whether it has the fee of the one returned last.
    fn is_of_fee(&self, upstream: &ApiUpstream) -> bool {
        let own = upstream.settings().platform_fee_bps;
        self.fee.is_none_or(|fee| fee == own)
    }

    /// The next one to ask; `beside` others in flight only one with their fee.
    fn take(&mut self, now: Instant, beside: bool) -> Option<ApiCandidate> {
        if self.returned >= self.most {
            return None;
        }
        let first = self.returned == 0 && !self.further;
        let mut left = self.left().peekable();
        while let Some((place, upstream)) = left.next() {
            if beside && !self.is_of_fee(upstream) {
                continue;
            }
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
                self.fee = Some(upstream.settings().platform_fee_bps);
                return Some(candidate);
            }
        }
        None
    }
}

impl Choices for ApiChoices<'_> {
    type Chosen = ApiCandidate;

    fn suits_others(&self, now: Instant) -> bool {
        self.upcoming(now).is_some_and(|next| self.is_of_fee(next))
    }

    /// The next one to ask; `None` if enough were returned or none may be asked.
    fn next(&mut self, now: Instant) -> Option<ApiCandidate> {
        self.take(now, false)
    }

    fn outlook(&self, now: Instant) -> Outlook {
        match self.upcoming(now) {
            None => Outlook::Nobody,
            Some(upstream) if upstream.is_fit(now) => Outlook::Fit,
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

    /// Whoever costs money may be asked as well: its hedges are always paid for. One with another fee may
    /// not: which of the answers the caller gets would be chance.
    fn any_hedge(&self, now: Instant, _charging: bool) -> bool {
        let mut left = self.left().filter(|_| self.returned < self.most);
        let next = left.find(|(_, upstream)| {
            self.is_of_fee(upstream) && upstream.may_be_asked(self.product, now)
        });
        next.is_some_and(|(_, upstream)| upstream.is_fit(now))
    }

    fn next_hedge(&mut self, now: Instant, _charging: bool) -> Option<ApiCandidate> {
        self.take(now, true)
    }

    /// All have the same capabilities.
    fn narrow(&mut self, _capability: Capability) {}

    /// Sessions see no slots of Jupiter's.
    fn aim_at(&mut self, _floor: Option<Slot>, now: Instant) -> bool {
        self.any_fit(now)
    }
}
