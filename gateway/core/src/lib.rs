//! Shared by both Perijove binaries: Solana value types, amounts and prices, the schema of Redis,
//! reading of settings, secrets, telemetry set-up.
//!
//! Independent of proxy, Kafka and databases.

mod address;
mod breaker_state;
mod commitment;
mod counted;
#[cfg(feature = "process")]
pub mod essential;
#[cfg(feature = "process")]
pub mod health;
pub mod market;
pub mod redis;
mod secret;
#[cfg(feature = "process")]
pub mod settings;
mod slot;
#[cfg(feature = "process")]
pub mod telemetry;
mod unix_clock;

pub use address::{AddressError, Pubkey, Signature};
pub use breaker_state::BreakerState;
pub use commitment::Commitment;
pub use counted::counted;
pub use secret::Secret;
pub use slot::Slot;
pub use unix_clock::UnixClock;
