//! Kafka as a source: against the mock cluster of Kafka's client, which starts in milliseconds, and
//! in `cluster` against Kafka itself.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they did"
)]

mod backpressure;
mod beginning;
mod chaos;
mod cluster;
mod groups;
mod login;
mod member;
mod mock;
mod recreated;
mod store;
mod trouble;
