//! Ingest's sinks against real databases and a real Redis.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::too_many_lines,
    clippy::map_entry,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::type_complexity,
    reason = "tests fail by panicking, and what they measure is printed"
)]

mod database;
mod indexes;
mod market;
mod plans;
mod pool_hours;
mod prices;
mod questions;
mod scene;
mod schema;
