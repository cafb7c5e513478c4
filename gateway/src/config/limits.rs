//! Limits on requests and connections.

use std::ops::RangeInclusive;
use std::time::Duration;

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

/// Limits on the size and duration of a request.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body in bytes; above it the answer is 413.
    pub max_body: usize,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// Maximum number of calls in a batch. By default only the body size limits it, as on a node.
    pub max_batch: Option<usize>,
    /// Calls of one batch in flight at the same time.
    pub batch_concurrency: usize,
    /// Answers up to this many bytes are buffered, and can be checked and retried; longer ones
    /// stream.
    pub answer_buffer: usize,
    /// Time limit of a request, including all attempts.
    pub request_timeout: Duration,
    /// How long a client may take to accept each 64 KiB of an answer; then it is disconnected.
    pub write_timeout: Duration,
    /// Time limit for the TLS handshake, for the HTTP/2 preface, and for a request's head once it
    /// has begun.
    pub head_timeout: Duration,
    /// Maximum number of client connections. By default as many as the process's file descriptors
    /// allow, at most 16384.
    pub connections: Option<usize>,
    /// Maximum number of connections of one client address (of one /64 with IPv6). By default half
    /// of all.
    pub connections_per_address: Option<usize>,
    /// Maximum bytes of answers not yet accepted by their clients, in all. One client address may hold
    /// as much as is free: alone half of it.
    pub unsent: usize,
    /// The same for one connection. One answer may always wait.
    pub unsent_per_connection: usize,
    /// Maximum bytes of incomplete requests, in all: of their bodies, and of the heads that wait for them.
    pub unfinished_bodies: usize,
    /// Maximum number of concurrent calls to upstreams. Further ones wait, by class; by default
    /// calls wait only for the connections of each upstream.
    pub calls: Option<usize>,
    /// How many may wait. Beyond that the lowest class is refused.
    pub calls_waiting: usize,
    /// How long one may wait before it is refused.
    pub calls_queue: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            max_batch: None,
            batch_concurrency: 16,
            answer_buffer: 256 * 1024,
            request_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            connections: None,
            connections_per_address: None,
            unsent: 256 * 1024 * 1024,
            unsent_per_connection: 32 * 1024 * 1024,
            unfinished_bodies: 64 * 1024 * 1024,
            calls: None,
            calls_waiting: 1024,
            calls_queue: Duration::from_secs(1),
        }
    }
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let time = Duration::from_millis(100)..=Duration::from_mins(10);
        let memory = Size::mib(1)..=Size::mib(64 * 1024);
        let (calls, calls_waiting, calls_queue) = read_calls(section, &default);
        let limits = Self {
            max_body: size(
                section,
                "max_body",
                default.max_body,
                Size::kib(1)..=Size::mib(256),
            ),
            body_timeout: section.within("body_timeout", default.body_timeout, time.clone()),
            max_batch: section.optional_within("max_batch", 1..=1_000_000),
            batch_concurrency: section.within(
                "batch_concurrency",
                default.batch_concurrency,
                1..=1000,
            ),
            answer_buffer: size(
                section,
                "answer_buffer",
                default.answer_buffer,
                Size::kib(4)..=Size::mib(64),
            ),
            request_timeout: section.within(
                "request_timeout",
                default.request_timeout,
                time.clone(),
            ),
            write_timeout: section.within("write_timeout", default.write_timeout, time.clone()),
            head_timeout: section.within("head_timeout", default.head_timeout, time),
            calls,
            calls_waiting,
            calls_queue,
            connections: section.optional_within("connections", 1..=1_000_000),
            connections_per_address: section
                .optional_within("connections_per_address", 1..=1_000_000),
            unsent: size(section, "unsent", default.unsent, memory.clone()),
            unsent_per_connection: size(
                section,
                "unsent_per_connection",
                default.unsent_per_connection,
                memory.clone(),
            ),
            unfinished_bodies: size(
                section,
                "unfinished_bodies",
                default.unfinished_bodies,
                memory,
            ),
        };
        limits.check(section);
        Self {
            unsent_per_connection: limits.unsent_per_connection.min(limits.unsent),
            ..limits
        }
    }

    fn check(&self, section: &Section<'_>) {
        if section.has("unsent_per_connection") && self.unsent_per_connection > self.unsent {
            section.violation("unsent_per_connection", "must not be above unsent");
        }
        if let (Some(all), Some(one)) = (self.connections, self.connections_per_address)
            && one > all
        {
            section.violation("connections_per_address", "must not be above connections");
        }
    }
}

/// The bound on all calls, how many may wait for it, and how long.
fn read_calls(section: &mut Section<'_>, default: &Limits) -> (Option<usize>, usize, Duration) {
    let queue = Duration::ZERO..=Duration::from_mins(1);
    (
        section.optional_within("calls", 1..=1_000_000),
        section.within("calls_waiting", default.calls_waiting, 0..=1_000_000),
        section.within("calls_queue", default.calls_queue, queue),
    )
}

/// A size in bytes within bounds.
pub(super) fn size(
    section: &mut Section<'_>,
    key: &'static str,
    default: usize,
    bounds: RangeInclusive<Size>,
) -> usize {
    section.within(key, Size(default), bounds).0
}
