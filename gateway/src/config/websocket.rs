//! WebSocket: limits for clients, and how the gateway uses the sockets of its upstreams.

use std::time::Duration;

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

use crate::config::limits::size;

/// Sockets of clients, and the subscriptions on them.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct WebSocket {
    /// Whether a client may upgrade its connection at all; otherwise it gets 501.
    pub enabled: bool,
    /// Maximum number of client sockets. Each also counts towards `limits.connections`.
    pub clients: usize,
    /// Largest message of a client in bytes; above it the socket is closed with 1009.
    pub max_message: usize,
    /// Maximum bytes waiting for one client. One message may always wait; above it the socket is
    /// closed with 1013.
    pub queue: usize,
    /// Maximum bytes waiting for all clients together; above it the sockets with the most waiting
    /// are closed with 1013.
    pub memory: usize,
    /// Most subscriptions on one socket.
    pub subscriptions: usize,
    /// Calls of one socket in flight at the same time; further messages wait unread.
    pub calls: usize,
    /// How often a silent client is pinged. A client silent for three intervals is disconnected.
    pub ping_interval: Duration,
    /// Time over which client sockets are closed, in random order, when the gateway stops.
    pub close_over: Duration,
    /// Whether a client that joins an existing account or program subscription gets the current
    /// value at once.
    pub replay: bool,
    /// permessage-deflate, where a client offers it.
    pub compression: MessageCompression,
    /// The sockets to upstreams.
    pub feed: FeedLimits,
}

/// When and how strongly messages are compressed with permessage-deflate, where a client offers it.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct MessageCompression {
    /// Whether it is agreed at all.
    pub enabled: bool,
    /// Smaller messages to clients, in bytes, are sent uncompressed.
    pub min_bytes: usize,
    /// 1 (fast) to 9 (small).
    pub level: u32,
}

/// How the gateway subscribes at its upstreams.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct FeedLimits {
    /// Maximum number of sockets to one upstream.
    pub sockets: usize,
    /// Maximum number of subscriptions on one of them, including the gateway's own `slotSubscribe`.
    pub subscriptions: usize,
    /// Maximum number of subscriptions made per second on one socket.
    pub rate: u32,
    /// A socket that reports no slot for this long while the cluster advances counts as dead.
    pub silence: Duration,
    /// How long a client waits for an upstream to accept its subscription.
    pub subscribe_timeout: Duration,
    /// Whether a spare socket to another upstream is kept open while there are subscriptions, so
    /// that they can move without a handshake. Metered upstreams get none.
    pub standby: bool,
    /// Whether a socket to each upstream that is not metered is kept open to follow its slots: it
    /// is then probed less often.
    pub track_slots: bool,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            enabled: true,
            clients: 16_384,
            max_message: 64 * 1024,
            queue: 4 * 1024 * 1024,
            memory: 256 * 1024 * 1024,
            subscriptions: 1000,
            calls: 32,
            ping_interval: Duration::from_secs(20),
            close_over: Duration::from_secs(2),
            replay: false,
            compression: MessageCompression::default(),
            feed: FeedLimits::default(),
        }
    }
}

impl Default for MessageCompression {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: 512,
            // A fifth smaller than with 1, and hardly larger than with more, which take longer.
            level: 2,
        }
    }
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            sockets: 4,
            subscriptions: 1000,
            rate: 500,
            silence: Duration::from_secs(3),
            subscribe_timeout: Duration::from_secs(10),
            standby: true,
            track_slots: true,
        }
    }
}

impl WebSocket {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            enabled: section.or("enabled", default.enabled),
            clients: section.within("clients", default.clients, 1..=1_000_000),
            max_message: size(
                section,
                "max_message",
                default.max_message,
                Size::kib(4)..=Size::mib(64),
            ),
            queue: size(
                section,
                "queue",
                default.queue,
                Size::kib(64)..=Size::mib(1024),
            ),
            memory: size(
                section,
                "memory",
                default.memory,
                Size::mib(1)..=Size::mib(64 * 1024),
            ),
            subscriptions: section.within("subscriptions", default.subscriptions, 1..=1_000_000),
            calls: section.within("calls", default.calls, 1..=10_000),
            ping_interval: section.within(
                "ping_interval",
                default.ping_interval,
                Duration::from_millis(100)..=Duration::from_mins(10),
            ),
            close_over: section.within(
                "close_over",
                default.close_over,
                Duration::ZERO..=Duration::from_mins(10),
            ),
            replay: section.or("replay", default.replay),
            compression: section.nested("compression", MessageCompression::read),
            feed: section.nested("feed", FeedLimits::read),
        }
    }
}

impl MessageCompression {
    fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            enabled: section.or("enabled", default.enabled),
            min_bytes: size(
                section,
                "min_bytes",
                default.min_bytes,
                Size(0)..=Size::mib(64),
            ),
            level: section.within("level", default.level, 1..=9),
        }
    }
}

impl FeedLimits {
    fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            sockets: section.within("sockets", default.sockets, 1..=1000),
            subscriptions: section.within("subscriptions", default.subscriptions, 2..=1_000_000),
            rate: section.within("rate", default.rate, 1..=100_000),
            silence: section.within(
                "silence",
                default.silence,
                Duration::from_millis(500)..=Duration::from_mins(5),
            ),
            subscribe_timeout: section.within(
                "subscribe_timeout",
                default.subscribe_timeout,
                Duration::from_millis(100)..=Duration::from_mins(5),
            ),
            standby: section.or("standby", default.standby),
            track_slots: section.or("track_slots", default.track_slots),
        }
    }
}
