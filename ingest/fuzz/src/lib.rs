//! Ingest's reading of what comes from outside, by itself.

pub mod decode;
pub mod project;
pub mod record;
pub mod recording;
