//! Ingest's sinks against real databases and a real Redis.

mod database;
mod market;
mod scene;
