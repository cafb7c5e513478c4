//! Wakes the calls that wait for a stream.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A stream ended, or an attempt to open a connection did.
#[derive(Debug, Default)]
pub(super) struct StreamSignals {
    changed: Notify,
    /// The same, for calls that may not use every connection. All of them are woken, as one might
    /// be woken in vain while another could go on.
    changed_for_all: Notify,
}

impl StreamSignals {
    /// The next change, for a call that may use any connection, or for one that may not.
    pub(super) fn notified(&self, any: bool) -> Notified<'_> {
        if any {
            self.changed.notified()
        } else {
            self.changed_for_all.notified()
        }
    }

    /// There may be more than one stream now, or none at all any more.
    pub(super) fn tell_all(&self) {
        self.changed.notify_waiters();
        self.changed_for_all.notify_waiters();
    }

    /// One stream has ended.
    pub(super) fn stream_ended(&self) {
        self.changed.notify_one();
        self.changed_for_all.notify_waiters();
    }
}
