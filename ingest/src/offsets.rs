//! Offsets of partitions: where to begin, and when to commit them to Kafka. Pure.
//!
//! The offset in the database counts, which is written in one transaction with the rows. Kafka's
//! own is committed afterwards from time to time, for tools that show the lag. An offset is always
//! that of the next record to read.

mod begin;
mod pending_commits;

pub use begin::{StartPosition, Watermarks, begin};
pub use pending_commits::PendingCommits;
