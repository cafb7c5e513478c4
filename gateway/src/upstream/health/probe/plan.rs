//! What a round of probing asks for, and in what order. Pure.

use perijove_core::Commitment;

/// Rounds of an unmetered upstream between two checks of its own health, and of slowly changing
/// facts.
const HEALTH_EVERY: u64 = 5;
const FACTS_EVERY: u64 = 10;
/// The same for a metered one, in rounds of half a minute.
const METERED_FACTS_EVERY: u64 = 120;
/// Rounds between two checks of where history begins: it moves as the ledger is pruned, within
/// hours.
const HISTORY_EVERY: u64 = 150;
/// The same for a metered one: a day.
const METERED_HISTORY_EVERY: u64 = 2_880;

/// A question of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeQuestion {
    Slot(Commitment),
    Health,
    /// Before the slot, so that a height at most as high as the slot is plausible.
    BlockHeight,
    ReceivedShred,
    Genesis,
    /// When the epoch ends.
    Epoch,
    /// Where the node's own ledger begins.
    LedgerStart,
    /// The first block it can return, including long-term storage. After the ledger's start, which
    /// reveals a node that is just starting.
    FirstBlock,
}

impl ProbeQuestion {
    pub(super) const SLOT: &str = "getSlot";

    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Slot(_) => Self::SLOT,
            Self::Health => "getHealth",
            Self::BlockHeight => "getBlockHeight",
            Self::ReceivedShred => "getMaxShredInsertSlot",
            Self::Genesis => "getGenesisHash",
            Self::Epoch => "getEpochInfo",
            Self::LedgerStart => "minimumLedgerSlot",
            Self::FirstBlock => "getFirstAvailableBlock",
        }
    }

    pub(super) fn params(self) -> &'static str {
        match self {
            Self::Slot(Commitment::Processed) | Self::BlockHeight => {
                r#"[{"commitment":"processed"}]"#
            }
            Self::Slot(Commitment::Confirmed) => r#"[{"commitment":"confirmed"}]"#,
            Self::Slot(Commitment::Finalized) => r#"[{"commitment":"finalized"}]"#,
            Self::Health
            | Self::ReceivedShred
            | Self::Genesis
            | Self::Epoch
            | Self::LedgerStart
            | Self::FirstBlock => "[]",
        }
    }

    /// The call, open at its end for the id.
    pub(super) fn body(self) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","method":"{}","params":{},"id":"#,
            self.method(),
            self.params()
        )
    }
}

/// The circumstances of a round.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "findings that do not depend on each other"
)]
pub(super) struct ProbeCircumstances {
    pub(super) round: u64,
    /// It is asked for little: a metered upstream, or one with a small budget.
    pub(super) sparing: bool,
    pub(super) unwell: bool,
    /// It has not yet shown the required genesis hash.
    pub(super) unproven: bool,
    /// Per commitment: live answers brought a slot since the last round.
    pub(super) told: [bool; 3],
    /// A subscription reports each slot as it is processed.
    pub(super) fed: bool,
    pub(super) may_skip: bool,
    /// The last round got no answer: what comes back may be another node.
    pub(super) failed: bool,
}

impl ProbeCircumstances {
    fn told_of(&self, commitment: Commitment) -> bool {
        self.told.get(commitment.index()).copied().unwrap_or(false)
    }
}

impl ProbeCircumstances {
    /// Whether this need not be requested in this round because a subscription reports slots:
    /// processed ones, and of the others one at a time.
    fn spares(&self, commitment: Commitment, facts: bool) -> bool {
        if !self.fed || self.sparing || self.unwell || self.unproven || facts {
            return false;
        }
        match commitment {
            Commitment::Processed => true,
            Commitment::Confirmed => !self.round.is_multiple_of(2),
            Commitment::Finalized => self.round.is_multiple_of(2),
        }
    }
}

/// What to ask in a round, in order.
pub(super) fn plan(given: &ProbeCircumstances) -> Vec<ProbeQuestion> {
    let facts_every = if given.sparing {
        METERED_FACTS_EVERY
    } else {
        FACTS_EVERY
    };
    let facts = given.failed || given.round.is_multiple_of(facts_every);
    let mut questions = Vec::new();
    if facts || given.unproven {
        questions.push(ProbeQuestion::Genesis);
    }
    if facts && !given.sparing {
        questions.push(ProbeQuestion::BlockHeight);
    }
    let levels: &[Commitment] = match given.sparing {
        false => &Commitment::ALL,
        // In turns, unless calls show it: what is final must be known to be kept permanently.
        true if given.round % 2 == 1 && !given.told_of(Commitment::Finalized) => {
            &[Commitment::Finalized]
        }
        true => &[Commitment::Confirmed],
    };
    for commitment in levels {
        let told = given.told_of(*commitment);
        if given.spares(*commitment, facts) {
            continue;
        }
        // The height is compared with the processed slot.
        let needed = facts && *commitment == Commitment::Processed;
        if needed || !(told && given.may_skip) {
            questions.push(ProbeQuestion::Slot(*commitment));
        }
    }
    if !given.sparing && given.round.is_multiple_of(HEALTH_EVERY) {
        questions.push(ProbeQuestion::ReceivedShred);
    }
    if given.unwell || (!given.sparing && given.round.is_multiple_of(HEALTH_EVERY)) {
        questions.push(ProbeQuestion::Health);
    }
    if facts {
        // Last: nothing waits for it.
        questions.push(ProbeQuestion::Epoch);
    }
    look_at_history(given, &mut questions);
    questions
}

/// An upstream that was down may have come back with another ledger; a metered one is a provider,
/// whose history is not lost in a restart.
fn look_at_history(given: &ProbeCircumstances, questions: &mut Vec<ProbeQuestion>) {
    if given.sparing {
        if given.round.is_multiple_of(METERED_HISTORY_EVERY) {
            questions.push(ProbeQuestion::FirstBlock);
        }
    } else if given.failed || given.round.is_multiple_of(HISTORY_EVERY) {
        questions.extend([ProbeQuestion::LedgerStart, ProbeQuestion::FirstBlock]);
    }
}
