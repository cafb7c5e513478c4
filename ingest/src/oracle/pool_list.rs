//! Which pools price a token: those that weigh most.

use perijove_core::Pubkey;

use crate::oracle::clock::Now;
use crate::oracle::pool::PoolKey;
use crate::oracle::token::{MOST_INDIRECT, MOST_POOLS};
use crate::oracle::{Oracle, is_anchor, may_tell};

/// So many times the least one must weigh whatever takes its place.
const BEATS: f64 = 1.25;

/// What the least one weighs is looked up again after this many milliseconds.
const LEAST_AGE: f64 = 1_000.0;

impl Oracle {
    /// Adds a pool that was just traded in to the tokens that it may price, if there is room, or if
    /// it weighs more than one of those there. One that is displaced comes back like that.
    /// `listed` is whether it is there already, for its left and its right.
    pub(super) fn list(&mut self, key: PoolKey, listed: [bool; 2], now: Now) {
        for (side, mint) in [key.left, key.right].into_iter().enumerate() {
            if listed.get(side) == Some(&false) && may_tell(mint, key.other(mint)) {
                self.list_for(mint, key, now);
            }
        }
    }

    fn list_for(&mut self, mint: Pubkey, key: PoolKey, now: Now) {
        let Some(token) = self.tokens.get(&mint) else {
            return;
        };
        let direct = is_anchor(key.other(mint));
        let (list, most, kind) = if direct {
            (&token.pools, MOST_POOLS, 0)
        } else {
            (&token.indirect, MOST_INDIRECT, 1)
        };
        let mut out = None;
        let mut least = token.least.get(kind).copied().flatten();
        if list.len() >= most {
            let weight = self.contest(&key, mint, now);
            if least
                .is_some_and(|(least, at)| now.active < at + LEAST_AGE && weight <= BEATS * least)
            {
                return;
            }
            let weights = list.iter().enumerate();
            let weights = weights.map(|(place, key)| (place, self.contest(key, mint, now)));
            let Some((place, found)) = weights.min_by(|one, other| one.1.total_cmp(&other.1))
            else {
                return;
            };
            least = Some((found, now.active));
            out = (weight > BEATS * found).then_some(place);
        }
        let full = list.len() >= most;
        let Some(token) = self.tokens.get_mut(&mint) else {
            return;
        };
        if let Some(known) = token.least.get_mut(kind) {
            *known = least.filter(|_| out.is_none());
        }
        if full && out.is_none() {
            return;
        }
        let list = if direct {
            &mut token.pools
        } else {
            &mut token.indirect
        };
        let out = out.map(|place| list.swap_remove(place));
        list.push(key);
        self.mark_listed(&key, mint, true);
        if let Some(out) = out {
            self.mark_listed(&out, mint, false);
        }
    }

    fn mark_listed(&mut self, key: &PoolKey, mint: Pubkey, is: bool) {
        let pool = self.pools.get_mut(key);
        let side = usize::from(key.left != mint);
        if let Some(listed) = pool.and_then(|pool| pool.listed.get_mut(side)) {
            *listed = is;
        }
    }

    /// What a pool weighs for its place: no more than there is behind what is paid with.
    fn contest(&self, key: &PoolKey, mint: Pubkey, now: Now) -> f64 {
        let Some(pool) = self.pools.get(key) else {
            return 0.0;
        };
        let via = key.other(mint);
        let capital = pool.capital(now);
        let capital = if is_anchor(via) {
            capital
        } else {
            let money = self.tokens.get(&via).and_then(|money| money.value);
            capital.min(money.map_or(0.0, |money| money.capital))
        };
        capital * pool.trust(now.active)
    }
}
