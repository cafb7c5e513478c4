//! Admission and order of calls, where there is not enough for all.
//!
//! An [`Allowance`] is what one consumer's plan allows: a number of requests per minute and at
//! once. A [`Gate`] limits what runs at once, such as the connections to an upstream: by class, by
//! consumer within a class, and with a share for heavy calls. A [`Budget`] is what a provider
//! sells. Not here: what a call is (`solana`) and who makes it (`auth`).

mod allowance;
mod allowances;
mod budget;
mod byte_rate;
mod caller_network;
mod concurrency;
mod gate;
mod rate;
mod urgency;

pub use allowance::{AdmittedRequest, Allowance, Meter, PlanRefusal};
pub use allowances::Allowances;
pub use budget::{
    Budget, BudgetCharge, BudgetRegistry, LeaseAnswer, LeaseRequest, ProbeCharge, SpendingRate,
    UpstreamBudgets,
};
pub use caller_network::caller_network;
pub use concurrency::{ConcurrencyLimit, LimitMove, LoadSample, PlacesInUse};
pub use gate::{Gate, GatePermit, InClass, PermitClaim, PermitRequest};
pub use rate::{Exceeded, Rate, Remaining};
pub use urgency::Urgency;
