//! WebSocket: what one client may ask of the gateway, and how the gateway uses the sockets of its
//! upstreams.

use std::time::Duration;

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

use crate::config::limits::size;

/// Sockets of clients, and the subscriptions on them.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct WebSocket {
    /// Whether a client may upgrade its connection at all; otherwise it is told 501.
    pub enabled: bool,
    /// Most sockets of clients at once. Each is also one of `limits.connections`.
    pub clients: usize,
    /// Largest message of a client in bytes; above it the socket is closed with 1009.
    pub max_message: usize,
    /// Most bytes that wait for a client. One message may always wait; a client behind which more
    /// piles up is closed with 1013.
    pub queue: usize,
    /// Most bytes that wait for all clients together; above it those behind which most waits are
    /// closed with 1013.
    pub memory: usize,
    /// Most subscriptions on one socket.
    pub subscriptions: usize,
    /// Calls of one socket that are under way at the same time; further messages wait unread.
    pub calls: usize,
    /// How often a silent client is pinged. One that has said nothing for three of these is closed.
    pub ping_interval: Duration,
    /// Over which time the sockets of clients are closed, in no order, when the gateway stops.
    pub close_over: Duration,
    /// Whether whoever joins an account or program subscription that others have already is told
    /// the present value at once.
    pub replay: bool,
    /// The sockets to upstreams.
    pub feed: FeedLimits,
}

/// How the gateway subscribes at its upstreams.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct FeedLimits {
    /// Most sockets to one upstream.
    pub sockets: usize,
    /// Most subscriptions on one of them, the gateway's own `slotSubscribe` included.
    pub subscriptions: usize,
    /// Most subscriptions made on one socket in a second.
    pub rate: u32,
    /// A socket on which no slot is told for so long, while the cluster goes on, is dead.
    pub silence: Duration,
    /// How long a client waits for an upstream that takes its subscription.
    pub subscribe_timeout: Duration,
    /// Whether a socket to another upstream is kept open while there are subscriptions, so that
    /// they can move without a handshake. Metered upstreams get none.
    pub standby: bool,
    /// Whether a socket to each upstream that is not metered is kept open, to hear of its slots: it
    /// is then asked for them less often.
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
            feed: FeedLimits::default(),
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
            feed: section.nested("feed", FeedLimits::read),
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
