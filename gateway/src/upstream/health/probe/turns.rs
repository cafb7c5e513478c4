//! Whose turn it is among the addresses of an upstream that is probed sparingly.

use std::collections::HashMap;
use std::net::SocketAddr;

/// Whose turn it is, where a round is sent to one address.
#[derive(Debug, Default)]
pub(super) struct AddressTurns {
    /// Addresses looked at so far; each round looks at all.
    looks: usize,
    /// The last round that was sent.
    sent: Option<usize>,
    rounds: u64,
    /// The last round of each address.
    last: HashMap<SocketAddr, u64>,
}

impl AddressTurns {
    /// Whether this address is to be probed, if any may be: the one whose last round was longest ago,
    /// and one in each round.
    pub(super) fn is_turn_of(
        &mut self,
        address: SocketAddr,
        known: &[SocketAddr],
        may: bool,
    ) -> bool {
        let round = self.looks / known.len().max(1);
        self.looks = self.looks.wrapping_add(1);
        let last = |address: &SocketAddr| self.last.get(address).copied().unwrap_or_default();
        let next = known.iter().min_by_key(|address| last(address));
        if !may || self.sent == Some(round) || next.is_some_and(|next| *next != address) {
            return false;
        }
        self.sent = Some(round);
        self.rounds += 1;
        self.last.insert(address, self.rounds);
        true
    }

    pub(super) fn retain(&mut self, known: &[SocketAddr]) {
        self.last.retain(|address, _| known.contains(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_however_rarely_one_may_be_probed() {
        let known: Vec<SocketAddr> = (1..=3)
            .map(|last| SocketAddr::new([10, 0, 0, last].into(), 80))
            .collect();
        for every in [1, 2, 3, 6, 90] {
            let mut turns = AddressTurns::default();
            let mut sent = vec![0; known.len()];
            for round in 0..30 * every {
                let before: u32 = sent.iter().sum();
                for (address, sent) in known.iter().zip(&mut sent) {
                    let turn = turns.is_turn_of(*address, &known, round % every == 0);
                    *sent += u32::from(turn);
                }
                assert!(sent.iter().sum::<u32>() <= before + 1, "one in each round");
            }
            assert_eq!(sent, [10, 10, 10], "every {every}");
        }
    }

    #[test]
    fn an_address_that_is_new_or_gone_keeps_none_from_its_turn() {
        let all: Vec<SocketAddr> = (1..=3)
            .map(|last| SocketAddr::new([10, 0, 0, last].into(), 80))
            .collect();
        let mut turns = AddressTurns::default();
        for known in [&all[..1], &all[..3], &all[1..], &all[..2], &all[..]] {
            turns.retain(known);
            let mut sent: HashMap<SocketAddr, u32> = HashMap::new();
            for _ in 0..12 {
                for address in known {
                    if turns.is_turn_of(*address, known, true) {
                        *sent.entry(*address).or_default() += 1;
                    }
                }
            }
            let least = 12 / u32::try_from(known.len()).unwrap() - 1;
            for address in known {
                assert!(sent[address] >= least, "{sent:?}");
            }
        }
    }
}
