//! How hard to try, as configured.

use crate::config;

/// How hard to try; part of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub retry: config::Retry,
    pub hedge: config::Hedge,
    pub history: config::History,
    pub selection: config::Selection,
    /// Answers up to this many bytes are buffered and checked as a whole; larger ones stream.
    pub answer_buffer: usize,
}
