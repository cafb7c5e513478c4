//! How hard to try, as configured.

use crate::config;

/// How hard to try; part of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub retry: config::RetrySettings,
    pub hedge: config::HedgeSettings,
    pub history: config::HistorySettings,
    pub selection: config::Selection,
    /// Answers up to this many bytes are buffered and checked as a whole; larger ones stream.
    pub answer_buffer: usize,
}
