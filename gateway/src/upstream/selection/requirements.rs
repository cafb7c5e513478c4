//! What a call requires of the upstream that it is sent to.

use perijove_core::Slot;

use crate::limit::Urgency;
use crate::solana::{Capability, Class, Priority};
use crate::upstream::state::history::DeeperUpstreams;

/// What a call requires.
#[derive(Clone, Copy, Debug)]
pub struct CallRequirements<'a> {
    pub class: &'a Class,
    /// The method as the client named it.
    pub method_name: &'a str,
    /// The raw parameters, which identify the question.
    pub params: Option<&'a [u8]>,
    /// The caller's `minContextSlot`, or another slot that must have been reached.
    pub min_slot: Option<Slot>,
    /// What the client was shown already. An upstream that may have reached it by now will do: its
    /// answer is checked.
    pub floor: Option<Slot>,
    /// Only upstreams assumed to have this, and none rather than another.
    pub only: Option<Capability>,
    /// Only upstreams that may have history which another has not.
    pub history: Option<DeeperUpstreams<'a>>,
    /// A reserve of a provider's budget may be kept for the higher classes.
    pub priority: Priority,
    /// That of callers who wait for the same call.
    pub urgency: Option<&'a Urgency>,
    /// An unknown method: the first to be asked is an unmetered upstream, even if it has refused
    /// this method before.
    pub strange: bool,
}

impl<'a> CallRequirements<'a> {
    /// The requirements of the class alone.
    pub fn of(class: &'a Class, method_name: &'a str) -> Self {
        Self {
            class,
            method_name,
            params: None,
            min_slot: class.context.min_context_slot,
            floor: None,
            only: None,
            history: None,
            priority: class.profile().priority,
            urgency: None,
            strange: false,
        }
    }

    /// The class that it has by now.
    pub(super) fn priority(&self) -> Priority {
        let raised = self.urgency.map_or(self.priority, Urgency::class);
        self.priority.max(raised)
    }

    /// The slot the upstream should have reached.
    pub(super) fn slot(&self) -> Option<Slot> {
        self.min_slot.max(self.class.pinned_slot)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::config::{BudgetRate, BudgetSettings, Per};
    use crate::solana::classify;
    use crate::upstream::testing::{healthy, settings};
    use crate::upstream::{Choices, ChosenPeer};

    #[test]
    fn the_reserve_of_a_budget_opens_to_a_call_that_somebody_urgent_waits_for() {
        let mut upstream = settings("a", "http://127.0.0.1:1/");
        upstream.budget = Some(BudgetSettings {
            rate: BudgetRate {
                requests: 2,
                per: Per::Day,
                burst: 2,
                reserve: 50,
                sliding: false,
            },
            costs: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            organisation: None,
        });
        let (pool, now) = (healthy(vec![upstream]), Instant::now());
        let (class, urgency) = (classify("getBalance", None), Urgency::default());
        let next = || {
            let requirements = CallRequirements {
                priority: Priority::Background,
                urgency: Some(&urgency),
                ..CallRequirements::of(&class, "getBalance")
            };
            let Some(candidate) = pool.candidates(requirements).next(now) else {
                return false;
            };
            candidate.write();
            true
        };
        assert!(next());
        assert!(!next(), "the rest is reserved");
        urgency.raise(Priority::Critical);
        assert!(next());
        assert!(!next(), "nothing is left");
    }
}
