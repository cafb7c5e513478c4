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

mod copies;
mod entry;
mod flights;
mod key;
mod memory;
mod metrics;
mod policy;
mod quotes;
mod remote;
mod tiers;
mod trades;

pub use copies::{Copies, Copy};
pub use entry::{End, Entry, Freshness, Lifetime};
pub use flights::{Flights, Follow, Lead, Role, Told};
pub use key::{Key, Keys, Shelf};
pub use memory::{Memory, MemoryStatus};
pub use metrics::{CacheMetrics, Lookup, Tier};
pub use policy::{Policy, Source};
pub use quotes::{KeptQuote, Quotes};
pub use remote::{
    Awaited, Claim, Claimed, Lease, OriginError, RedisMetrics, Remote, RemoteStatus, TrustError,
};
pub use tiers::{Cache, Prepared};
pub use trades::{Hearing, TradeMetrics, Trades};
