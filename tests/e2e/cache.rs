//! The cache, from outside: what it answers, what it asks, and what it must never do. The clock of
//! these clusters stands still and is moved by hand, so that a test decides what an answer's slot
//! and its age are; whether the cache is right while everything moves is `cache_differential`'s.

mod accounts;
mod batches;
mod flights;
mod freshness;
mod hits;
mod large;
mod lifetimes;
mod outages;
mod pinned;
mod policy;
mod spellings;
pub mod stage;
