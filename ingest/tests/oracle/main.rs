//! Prices that nobody can fool: the attacks that the oracle has to stand, what must not be taken for
//! one, and a simulated day under each share of hostile volume, beside simpler ways of making a price.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::too_many_arguments,
    clippy::manual_is_multiple_of,
    clippy::expect_used,
    reason = "tests and their helpers"
)]

mod attacks;
mod cost;
mod day;
mod dollar;
mod messages;
mod pools;
mod round_trips;
mod scene;
mod thin;
mod truth;
