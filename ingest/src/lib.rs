//! Perijove's ingest as a library. The binary only calls [`app`]; tests and benchmarks use single
//! stages.
//!
//! The modules form layers: each imports only from those above it in this list, and
//! `tests/layering.rs` holds the table.

mod planted;
pub mod record;

pub mod decode;
pub mod position;
pub mod recording;

pub mod project;

pub mod generator;

pub mod config;
pub mod dead_letter;
pub mod oracle;

pub mod offsets;
pub mod sink;

pub mod source;

pub mod app;
pub mod cli;
