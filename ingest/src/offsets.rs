//! How far partitions were read: where to begin, and when Kafka is told. Pure.
//!
//! What counts is the offset in the database, which is written in one transaction with the rows.
//! Kafka's own is written after it, now and then, for tools that show the lag. An offset is always
//! that of the next record to read.

mod begin;
mod pending_commits;

pub use begin::{StartPosition, Watermarks, begin};
pub use pending_commits::PendingCommits;
