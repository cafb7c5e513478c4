//! Who may go on, and who goes first, where there is not enough for all.
//!
//! An [`Allowance`] is what one consumer's plan leaves him: so many requests a minute, so many at
//! once. A [`Gate`] bounds what runs at once, as the connections to an upstream do: by class, by
//! consumer within a class, and with a share for heavy calls. A [`Budget`] is what a provider sells. Not
//! here: what a call is (`solana`)
//! and whose it is (`auth`).

mod allowance;
mod allowances;
mod budget;
mod byte_rate;
mod gate;
mod rate;

pub use allowance::{AdmittedRequest, Allowance, Meter, PlanRefusal};
pub use allowances::Allowances;
pub use budget::{
    Budget, BudgetCharge, BudgetRegistry, LeaseAnswer, LeaseRequest, SpendingRate, UpstreamBudgets,
};
pub use gate::{Gate, GatePermit, InClass, PermitRequest};
pub use rate::{Exceeded, Rate, Remaining};
