//! What one request may ask of the gateway.

use std::time::Duration;

/// Bounds on the size and the time of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body in bytes; above it the answer is 413.
    pub max_body: usize,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// Most calls in one batch.
    pub max_batch: usize,
    /// Calls of one batch that are under way at the same time.
    pub batch_concurrency: usize,
    /// Answers up to this many bytes are read whole, can be checked and retried; longer ones
    /// stream through.
    pub answer_buffer: usize,
    /// The whole time for a request: all attempts together.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            max_batch: 100,
            batch_concurrency: 16,
            answer_buffer: 256 * 1024,
            request_timeout: Duration::from_secs(30),
        }
    }
}
