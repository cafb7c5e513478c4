//! The real program, against Kafka, PostgreSQL, SQLite and Redis themselves.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests fail by panicking, say what they did, and count little"
)]

mod beginning;
mod broken_tasks;
mod commands;
mod console;
mod crash;
mod disk;
mod earlier_schema;
mod export;
mod frozen;
mod full_disk;
mod letters;
mod lost_answers;
mod messages;
mod odd_times;
mod program;
mod progress;
mod reading;
mod replays;
mod running;
mod secured;
mod streams;
mod unread;
mod world;
