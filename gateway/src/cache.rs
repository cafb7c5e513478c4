//! Answers that are already known, and calls that are already under way.
//!
//! What may be kept and for how long is [`crate::solana`]'s knowledge ([`Keep`](crate::solana::Keep)),
//! counted here in slots of a [`SlotView`](crate::solana::SlotView). The cache knows neither
//! upstreams nor requests: it is given answers and gives them back while they are true.
//!
//! ```text
//! Key ──▶ Memory ──▶ Entry          bounded by bytes
//!  │        ▲ │
//!  │        │ ▼
//!  ├──▶ Remote (Redis)              shared by replicas, never waited for longer than its deadline
//!  └──▶ Flights                     identical calls under way
//! ```

mod copy_budget;
mod entry;
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
pub use trades::{Hearing, PoolTrades, TradeMetrics};
