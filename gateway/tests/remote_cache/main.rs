//! The shared cache against real Redis servers: what it keeps, and that nobody waits for it or is
//! harmed by it, whatever the servers do. That calls are answered meanwhile, the end-to-end tests
//! show.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod claims;
mod outages;
mod prices;
mod scene;
mod topologies;
mod values;
