//! Perijove's ingest as a library: Bitquery's Solana streams, stage by stage.
//!
//! The modules form layers: each imports only from those above it in this list, and
//! `tests/layering.rs` holds the table.

pub mod record;

pub mod decode;

pub mod project;

pub mod dead_letter;
