//! What the gateway knows about Solana's RPC: its methods, how fresh a call wants its answer, how
//! fresh an answer is, and what every error means. Pure tables and functions.

mod accounts;
mod blockhash;
mod canonical;
mod capability;
mod class;
mod context;
mod epoch;
mod extension;
mod extent;
mod fault;
mod history;
mod judge;
mod method;
mod params;
mod profile;
mod retention;
mod shape;
mod table;
mod transaction;
mod verdict;
mod view;

pub use accounts::{AccountReads, Values, account_reads, compose, single, values, wrapped_parts};
pub use blockhash::denies_blockhash;
pub use canonical::{Canonical, canonical};
pub use capability::Capability;
pub use class::{Class, ImpossibleCall, ReadContext, classify};
pub use context::{HeadCounter, Heads, context_slot, heads, tells_head};
pub use epoch::epoch_slots;
pub use extension::Extension;
pub use extent::is_as_long_as_asked;
pub use fault::{Blame, FaultKind};
pub use history::{
    AbsenceWording, History, HistoryGap, HistoryPosition, first_available, signature_subject,
};
pub use judge::{ReplyHints, carries_answers, is_the_calls_own, judge};
pub use method::Method;
pub use profile::{CommitmentRule, Finality, Idempotency, Priority, Profile};
pub use retention::{DatedRetention, DefaultRetention, Retention, keep};
pub use shape::may_begin;
pub use transaction::first_signature;
pub use verdict::{Penalty, Retry, Scope, Verdict};
pub use view::SlotView;
