//! The calls that wait for a stream: how they stand, and until when they wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::sessions::PoolSessions;
use crate::solana::FaultKind;
use crate::upstream::http2::stream_lease::StreamLease;

/// Until when a call waits.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct WaitDeadline {
    /// For a connection that is being opened.
    pub(in crate::upstream) opening: Instant,
    /// For a stream that another call uses.
    pub(in crate::upstream) queue: Instant,
}

/// How a call stands that asks for a stream.
pub(super) enum WaitState {
    Served(StreamLease),
    /// The upstream speaks HTTP/1.1.
    OtherVersion,
    Failed(FaultKind),
    /// It waits, and a connection has to be opened.
    Open,
    /// It waits for a connection being opened.
    Opening,
    /// It waits for a stream of another call.
    Stuck,
}

/// A waiting call.
pub(super) struct WaitTicket<'a> {
    sessions: &'a Mutex<PoolSessions>,
    /// Calls that wait although no connection can be opened for them.
    all_stuck: &'a AtomicUsize,
    pub(super) failures: u64,
    stuck: bool,
}

impl<'a> WaitTicket<'a> {
    pub(super) fn new(sessions: &'a Mutex<PoolSessions>, all_stuck: &'a AtomicUsize) -> Self {
        let mut state = sessions.lock();
        state.waiting += 1;
        Self {
            sessions,
            all_stuck,
            failures: state.failures,
            stuck: false,
        }
    }

    pub(super) fn be_stuck(&mut self) {
        if !std::mem::replace(&mut self.stuck, true) {
            self.all_stuck.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for WaitTicket<'_> {
    fn drop(&mut self) {
        self.sessions.lock().waiting -= 1;
        if self.stuck {
            self.all_stuck.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
