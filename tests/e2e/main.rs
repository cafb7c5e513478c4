//! End-to-end tests, grouped by what they are about. `sandbox` tests the stand-in cluster itself;
//! all others run the real gateway binary in front of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking, and what they measure is printed"
)]

mod sandbox;
