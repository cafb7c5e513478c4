//! Kept answers, and calls in flight.
//!
//! [`crate::solana`] knows what may be kept and for how long
//! ([`Retention`](crate::solana::Retention)), counted here in slots of a
//! [`SlotView`](crate::solana::SlotView). The cache knows neither upstreams nor requests: it stores
//! answers and returns them until they expire.
//!
//! ```text
//! CacheKey ──▶ MemoryCache ──▶ CacheEntry   bounded by bytes
//!  │            ▲ │
//!  │            │ ▼
//!  ├──▶ RedisCache                          shared by replicas; no lookup exceeds its deadline
//!  └──▶ SingleFlight                        identical calls in flight
//! ```

mod copy_budget;
mod entry;
mod hearing;
mod key;
mod memory;
mod metrics;
mod policy;
mod quotes;
mod remote;
mod single_flight;
mod tiered;
mod trades;

pub use copy_budget::{AnswerCopy, CopyBudget};
pub use entry::{CacheEntry, EntryFreshness, Expiry, Lifetime};
pub use hearing::Hearing;
pub use key::{CacheKey, KeyScope, ScopedKeys};
pub use memory::{MemoryCache, MemoryStatus};
pub use metrics::{CacheMetrics, CacheTier, Lookup};
pub use policy::{AnswerOrigin, CachePolicy};
pub use quotes::{KeptQuote, QuoteCache};
pub use remote::{
    Awaited, BucketLease, Claim, Claimed, RedisCache, RedisConfigError, RedisMetrics,
    RedisTrustError, RemoteStatus,
};
pub use single_flight::{FlightRole, Follower, FollowerOutcome, Leader, SingleFlight};
pub use tiered::{Prepared, TieredCache};
pub use trades::{PoolTrades, TradeMetrics};
