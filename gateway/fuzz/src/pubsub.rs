//! How compressed messages of clients are read.

pub mod deflate;
