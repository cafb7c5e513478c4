//! PubSub over WebSocket, as a node serves it: subscriptions over the moving chain, and faults of
//! the sockets. `subscription` parses what a client wants, `feed` lists what has happened, `told`
//! builds the notifications, `socket` sends them; the ids and the counts of a node are here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

mod feed;
pub(super) mod socket;
pub mod subscription;
mod told;

pub use told::mentioned_in;

/// What a node offers over WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Whether it speaks WebSocket at all.
    pub websocket: bool,
    /// `blockSubscribe`, which nodes offer only if configured to.
    pub blocks: bool,
    /// `voteSubscribe`, likewise.
    pub votes: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            websocket: true,
            blocks: false,
            votes: false,
        }
    }
}

/// The ids and the counts of a node.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    /// The id of every subscription that somebody has, and how many sockets have it.
    ids: HashMap<String, (u64, u64)>,
    last_id: u64,
}

/// What a node's sockets did since the start or the last reset; `open` and `live` count what is
/// there now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Sockets open now.
    pub open: u64,
    /// Sockets whose handshake was done.
    pub accepted: u64,
    /// Subscriptions that sockets have now, by the method that made them.
    pub live: BTreeMap<String, u64>,
    /// Subscriptions made, by method.
    pub subscribed: BTreeMap<String, u64>,
    /// Subscriptions given up by request, by the method that made them.
    pub unsubscribed: BTreeMap<String, u64>,
    /// Calls answered with an error.
    pub refused: u64,
    /// Messages received, pings of the protocol not counted.
    pub received: u64,
    /// Protocol pings received.
    pub pings: u64,
    /// Notifications sent, by their method.
    pub notified: BTreeMap<String, u64>,
}

impl Tally {
    /// Subscriptions of this method that sockets have now.
    pub fn live(&self, method: &str) -> u64 {
        self.live.get(method).copied().unwrap_or(0)
    }

    /// Subscriptions of any method that sockets have now.
    pub fn live_total(&self) -> u64 {
        self.live.values().sum()
    }

    /// Subscriptions of this method ever made.
    pub fn subscribed(&self, method: &str) -> u64 {
        self.subscribed.get(method).copied().unwrap_or(0)
    }

    /// Notifications of this method sent.
    pub fn notified(&self, method: &str) -> u64 {
        self.notified.get(method).copied().unwrap_or(0)
    }
}

impl Desk {
    /// The counts.
    pub fn tally(&self) -> Tally {
        self.state.lock().tally.clone()
    }

    /// Resets the counters, except those of open sockets.
    pub fn reset(&self) {
        let tally = &mut self.state.lock().tally;
        *tally = Tally {
            open: tally.open,
            live: std::mem::take(&mut tally.live),
            ..Tally::default()
        };
    }

    /// Counts a socket for as long as the guard lives.
    fn open(self: &Arc<Self>) -> OpenSocket {
        let tally = &mut self.state.lock().tally;
        tally.open += 1;
        tally.accepted += 1;
        OpenSocket(Arc::clone(self))
    }

    /// A subscription for a socket that does not have it yet: equal ones share an id.
    fn subscribe(&self, method: &str, key: &str) -> u64 {
        let mut state = self.state.lock();
        *state.tally.live.entry(method.to_owned()).or_default() += 1;
        *state.tally.subscribed.entry(method.to_owned()).or_default() += 1;
        if let Some((id, sockets)) = state.ids.get_mut(key) {
            *sockets += 1;
            return *id;
        }
        state.last_id += 1;
        let id = state.last_id;
        state.ids.insert(key.to_owned(), (id, 1));
        id
    }

    /// A socket has it no longer.
    fn forget(&self, method: &str, key: &str) {
        let mut state = self.state.lock();
        if let Some(live) = state.tally.live.get_mut(method) {
            *live = live.saturating_sub(1);
        }
        if let Some((_, sockets)) = state.ids.get_mut(key) {
            *sockets -= 1;
            if *sockets == 0 {
                state.ids.remove(key);
            }
        }
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.state.lock().tally);
    }
}

/// An open socket; dropping it closes the count.
#[derive(Debug)]
struct OpenSocket(Arc<Desk>);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.count(|tally| tally.open -= 1);
    }
}
