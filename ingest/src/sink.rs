//! Destinations of rows: the database first, which also keeps how far each partition was read, then
//! Redis, which is derived from the database. The app decides when which is written, and what
//! happens when one of them fails.

pub mod database;
pub mod market;
pub mod tick;
