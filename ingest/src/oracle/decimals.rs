//! The decimals of a mint, which never change on the chain but may be wrong in a message.

/// This many slots must agree before the decimals are pinned, and outnumber all others by this
/// factor.
const ENOUGH: u32 = 5;
const TIMES: u32 = 4;

/// Different numbers remembered.
const KEPT: usize = 4;

/// The values in messages, until one is clear.
#[derive(Clone, Debug, Default)]
pub(super) struct Decimals {
    pinned: Option<u8>,
    /// Numbers and the slots that said them, in the order in which they came up.
    votes: Vec<(u8, u32)>,
    /// The last slot of each number that was counted.
    last: Option<(u64, u8)>,
}

impl Decimals {
    pub(super) const fn pinned(decimals: u8) -> Self {
        Self {
            pinned: Some(decimals),
            votes: Vec::new(),
            last: None,
        }
    }

    /// By what messages of these slots say, in any order.
    pub(super) fn of(said: &[(u64, u8)]) -> Self {
        let mut said = said.to_vec();
        said.sort_unstable_by_key(|(slot, decimals)| (*decimals, *slot));
        said.dedup();
        said.sort_by_key(|(slot, _)| *slot);
        let mut decimals = Self::default();
        for (slot, number) in said {
            decimals.vote(number, slot);
        }
        decimals
    }

    /// A vote from a message. A slot counts once for each number.
    pub(super) fn vote(&mut self, decimals: u8, slot: u64) {
        if self.pinned.is_some() || self.last == Some((slot, decimals)) {
            return;
        }
        self.last = Some((slot, decimals));
        if let Some((_, count)) = self.votes.iter_mut().find(|(voted, _)| *voted == decimals) {
            *count += 1;
        } else if self.votes.len() < KEPT {
            self.votes.push((decimals, 1));
        }
        if let Some((leader, count)) = self.leader() {
            let others: u32 = self.votes.iter().map(|(_, count)| count).sum::<u32>() - count;
            if count >= ENOUGH && count >= TIMES * others {
                *self = Self::pinned(leader);
            }
        }
    }

    /// The number once it is beyond doubt.
    pub(super) const fn certain(&self) -> Option<u8> {
        self.pinned
    }

    /// The pinned number, or else the most frequent; the first of two equal ones.
    pub(super) fn best(&self) -> Option<u8> {
        self.pinned
            .or_else(|| self.leader().map(|(decimals, _)| decimals))
    }

    fn leader(&self) -> Option<(u8, u32)> {
        let votes = self.votes.iter().copied();
        votes.reduce(|best, vote| if vote.1 > best.1 { vote } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_counts_by_slots_and_only_beyond_doubt() {
        let of = |said: &[(u64, u8)]| Decimals::of(said).certain();
        assert_eq!(of(&[(5, 6), (4, 6), (3, 6), (2, 6), (1, 6)]), Some(6));
        assert_eq!(of(&[(5, 6), (4, 6), (3, 6), (2, 6)]), None);
        // One slot, however often.
        assert_eq!(of(&[(1, 6), (2, 6), (1, 6), (2, 6), (1, 6), (2, 6)]), None);
        let doubtful = [(1, 9), (2, 9), (3, 6), (4, 6), (5, 6), (6, 6), (7, 6)];
        assert_eq!(of(&doubtful), None);
    }

    #[test]
    fn decimals_are_those_of_most_messages_and_then_stay() {
        let mut decimals = Decimals::default();
        assert_eq!(decimals.best(), None);
        decimals.vote(6, 1);
        decimals.vote(9, 2);
        decimals.vote(0, 3);
        assert_eq!(decimals.best(), Some(6));
        // One slot with many messages is one vote.
        for _ in 0..100 {
            decimals.vote(9, 2_000);
        }
        decimals.vote(6, 4);
        decimals.vote(6, 5);
        assert_eq!(decimals.best(), Some(6));
        for slot in 10..100 {
            decimals.vote(6, slot);
        }
        for slot in 100..10_000 {
            decimals.vote(9, slot);
        }
        assert_eq!(decimals.best(), Some(6));
    }

    #[test]
    fn known_tokens_need_no_messages() {
        let mut decimals = Decimals::pinned(9);
        (0..100).for_each(|slot| decimals.vote(6, slot));
        assert_eq!(decimals.best(), Some(9));
    }
}
