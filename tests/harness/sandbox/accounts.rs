//! What the accounts hold. In a cluster at rest every account holds the same at every slot; in a
//! moving one it follows from the account's key, the slot and the line of blocks, so that the slot
//! of an answer determines the answer. Lamports that clients were given come on top and live in
//! `ledger`.

use std::sync::LazyLock;

use super::chain::{GAMMA, Moment, mix};
use super::ledger::Ledger;

/// An account that does not exist.
pub const NOBODY: &str = "1nc1nerator11111111111111111111111111111111";

/// Lamports an account holds that nobody ever touched.
const UNTOUCHED: u64 = 1_999_995_000;

/// Bytes an account of a moving cluster holds.
const BYTES: usize = 96;

/// Slots between two openings of a fleeting account, and for how many of them it is closed.
const PERIOD: u64 = 32;
const CLOSED: u64 = 9;

/// Whether the accounts of a cluster change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Accounts {
    /// Every account holds the same lamports and no bytes, but for airdrops.
    #[default]
    Still,
    /// Most accounts change with every slot, see [`Nature`].
    Moving,
}

/// How an account of a moving cluster behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Changes with every slot.
    Moving,
    /// Never changes.
    Still,
    /// Was never created.
    Absent,
    /// Is opened, changes for some slots, and is closed again.
    Fleeting,
}

/// An account at a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub lamports: u64,
    pub data: Vec<u8>,
}

impl Nature {
    /// How the account with this key behaves: of sixteen, twelve move.
    pub fn of(key: &str) -> Self {
        if key == NOBODY {
            return Self::Absent;
        }
        match number_of(key) % 16 {
            0 => Self::Absent,
            1 | 2 => Self::Fleeting,
            3 => Self::Still,
            _ => Self::Moving,
        }
    }
}

impl Accounts {
    /// The account at a slot; `None` where there is none.
    pub fn at(self, key: &str, moment: Moment, ledger: &Ledger) -> Option<Account> {
        if key == NOBODY {
            return None;
        }
        if self == Self::Still {
            return Some(Account {
                lamports: ledger.lamports(key).unwrap_or(UNTOUCHED),
                data: Vec::new(),
            });
        }
        let given = ledger.lamports_by(key, moment.slot);
        let own = moving(key, moment);
        if given == 0 {
            return own;
        }
        let (lamports, data) = own.map_or((0, Vec::new()), |own| (own.lamports, own.data));
        Some(Account {
            lamports: lamports.saturating_add(given),
            data,
        })
    }

    /// A number that changes with every slot in a moving cluster, below `bound`; 0 in one at rest.
    pub fn tide(self, salt: u64, moment: Moment, bound: u64) -> u64 {
        match self {
            Self::Still => 0,
            Self::Moving => at(salt, moment) % bound.max(1),
        }
    }

    /// Whether they change.
    pub fn moves(self) -> bool {
        self == Self::Moving
    }
}

/// What an account of a moving cluster holds by itself.
fn moving(key: &str, moment: Moment) -> Option<Account> {
    let number = number_of(key);
    let moment = match Nature::of(key) {
        Nature::Absent => return None,
        // The key shifts the period; where in it a slot lies may wrap around.
        Nature::Fleeting if moment.slot.wrapping_add(number) % PERIOD < CLOSED => return None,
        Nature::Fleeting | Nature::Moving => moment,
        Nature::Still => Moment {
            slot: 0,
            line: moment.line,
        },
    };
    let mut state = at(number, moment);
    // Below 2^53, so that clients that compute in doubles see it whole.
    let lamports = 1 + state % (1 << 52);
    let mut data = Vec::with_capacity(BYTES);
    data.extend_from_slice(&moment.slot.to_le_bytes());
    while data.len() < BYTES {
        state = state.wrapping_add(GAMMA);
        data.extend_from_slice(&mix(state).to_le_bytes());
    }
    Some(Account { lamports, data })
}

fn at(number: u64, moment: Moment) -> u64 {
    let line = moment.line.salt(moment.slot);
    mix(number ^ mix(moment.slot ^ mix(line)))
}

/// A number for a key (FNV-1a, mixed).
fn number_of(key: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let folded = key.bytes().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(folded)
}

/// The first `count` made-up keys of this nature.
pub fn keys(nature: Nature, count: usize) -> Vec<String> {
    (0..)
        .map(made_up)
        .filter(|key| Nature::of(key) == nature)
        .take(count)
        .collect()
}

/// A program with many accounts, of which few ever change.
pub fn large_program() -> String {
    made_up(u64::MAX)
}

/// Its accounts in a moving cluster; the first five move.
pub fn large_program_accounts() -> &'static [String] {
    static ACCOUNTS: LazyLock<Vec<String>> =
        LazyLock::new(|| [keys(Nature::Moving, 5), keys(Nature::Still, 1500)].concat());
    &ACCOUNTS
}

/// The made-up key with this number.
pub fn made_up(number: u64) -> String {
    super::chain::hash32(number, 0x6163_636f_756e_7473)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::chain::Line;

    fn main(slot: u64) -> Moment {
        Moment {
            slot,
            line: Line::MAIN,
        }
    }

    fn account(key: &str, moment: Moment) -> Option<Account> {
        Accounts::Moving.at(key, moment, &Ledger::default())
    }

    #[test]
    fn a_moving_account_is_another_at_every_slot_and_on_every_line() {
        for key in keys(Nature::Moving, 20) {
            let mut seen = std::collections::HashSet::new();
            for slot in 5_000..5_400 {
                let now = account(&key, main(slot)).unwrap();
                assert_eq!(account(&key, main(slot)), Some(now.clone()));
                assert!(seen.insert(now.lamports) && now.data.len() == BYTES);
                let forked = Moment {
                    slot,
                    line: Line::fork(5_200),
                };
                let same = account(&key, forked) == Some(now);
                assert_eq!(same, slot <= 5_200, "slot {slot}");
            }
        }
    }

    #[test]
    fn some_accounts_stay_some_never_were_and_some_come_and_go() {
        let states = |nature| {
            let key = keys(nature, 1).pop().unwrap();
            let mut states: Vec<_> = (0..3 * PERIOD)
                .map(|slot| account(&key, main(9_000 + slot)))
                .collect();
            states.dedup();
            states
        };
        assert_eq!(states(Nature::Still).len(), 1);
        assert_eq!(states(Nature::Absent), [None]);
        let fleeting = states(Nature::Fleeting);
        assert!(fleeting.contains(&None));
        let open = fleeting.iter().flatten().count() as u64;
        assert_eq!(open, 3 * (PERIOD - CLOSED));
        assert_eq!(account(NOBODY, main(7)), None);
    }

    #[test]
    fn what_was_given_comes_on_top_from_its_slot_on() {
        let ledger = Ledger::default();
        for nature in [Nature::Moving, Nature::Absent] {
            let key = keys(nature, 1).pop().unwrap();
            let lamports = |slot| {
                let found = Accounts::Moving.at(&key, main(slot), &ledger);
                found.map_or(0, |account| account.lamports)
            };
            let own = |slot| account(&key, main(slot)).map_or(0, |account| account.lamports);
            ledger.airdrop(&key, 7, 101);
            assert_eq!(lamports(100), own(100));
            assert_eq!(lamports(101), own(101) + 7);
        }
    }

    #[test]
    fn a_cluster_at_rest_holds_the_same_for_everybody() {
        let ledger = Ledger::default();
        let still = |key, slot| Accounts::Still.at(key, main(slot), &ledger);
        assert_eq!(still("a", 5), still("b", 9));
        assert_eq!(Accounts::Still.tide(5, main(5), 100), 0);
        ledger.airdrop("a", 3, 50);
        assert_eq!(still("a", 5).map(|account| account.lamports), Some(3));
    }
}
