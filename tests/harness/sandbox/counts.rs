//! What reached a validator: hits by method (a gateway's own probes apart), connections, requests
//! whose caller went away, and the last requests word for word.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;

/// Requests kept word for word.
const KEPT: usize = 256;

/// Counters of one validator.
#[derive(Debug, Default)]
pub struct Counts {
    tally: Mutex<Tally>,
    seen: Mutex<VecDeque<Seen>>,
    open: AtomicUsize,
}

/// Totals since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Calls by method.
    pub hits: BTreeMap<String, u64>,
    /// Calls of health probes by method, not among `hits`.
    pub probes: BTreeMap<String, u64>,
    /// HTTP requests, probes not counted.
    pub requests: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Requests whose caller closed the connection before the whole answer was sent.
    pub abandoned: u64,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request target.
    pub target: String,
    /// Header names in lower case, values as text.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub methods: Vec<String>,
    pub probe: bool,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Counts {
    /// Counts a request that was read.
    pub fn request(&self, seen: Seen) {
        let mut tally = self.tally.lock();
        if !seen.probe {
            tally.requests += 1;
        }
        let by_method = if seen.probe {
            &mut tally.probes
        } else {
            &mut tally.hits
        };
        for method in &seen.methods {
            *by_method.entry(method.clone()).or_insert(0) += 1;
        }
        drop(tally);
        let mut kept = self.seen.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(seen);
    }

    /// Keeps the handshake of a WebSocket among the requests seen; it is no call.
    pub fn handshake(&self, seen: Seen) {
        let mut kept = self.seen.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(seen);
    }

    /// A connection became a WebSocket, which is counted elsewhere.
    pub fn upgraded(&self) {
        let mut tally = self.tally.lock();
        tally.accepted = tally.accepted.saturating_sub(1);
    }

    /// Counts a request nobody waited for.
    pub fn abandoned(&self) {
        self.tally.lock().abandoned += 1;
    }

    /// Counts a connection for as long as the guard lives.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.tally.lock().accepted += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// The totals.
    pub fn tally(&self) -> Tally {
        self.tally.lock().clone()
    }

    /// The last requests that called this method, oldest first, probes not among them.
    pub fn seen(&self, method: &str) -> Vec<Seen> {
        let kept = self.seen.lock();
        let wanted = |seen: &&Seen| !seen.probe && seen.methods.iter().any(|one| one == method);
        kept.iter().filter(wanted).cloned().collect()
    }

    /// The methods of the last requests in the order in which they came, probes not among them.
    pub fn order(&self) -> Vec<String> {
        let kept = self.seen.lock();
        let calls = kept.iter().filter(|seen| !seen.probe);
        calls.flat_map(|seen| seen.methods.clone()).collect()
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Starts again from zero. Open connections stay counted.
    pub fn reset(&self) {
        *self.tally.lock() = Tally::default();
        self.seen.lock().clear();
    }
}

/// An open connection; dropping it closes the count.
#[derive(Debug)]
pub struct OpenConnection(Arc<Counts>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
