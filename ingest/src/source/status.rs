//! How a source is, for health and readiness.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::source::fault::SourceError;

/// Written by the source, read by everybody.
#[derive(Debug, Default)]
pub struct SourceStatus {
    connected: AtomicBool,
    partitions: AtomicUsize,
    fault: Mutex<Option<SourceError>>,
    unread: Mutex<Vec<String>>,
}

impl SourceStatus {
    /// Whether at least one broker is connected; always for a recording.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// How many partitions are being read.
    pub fn partitions(&self) -> usize {
        self.partitions.load(Ordering::Relaxed)
    }

    /// What went wrong last, until something goes well.
    pub fn fault(&self) -> Option<SourceError> {
        self.fault.lock().clone()
    }

    /// Partitions that get records and nobody reads, as far as this process sees.
    pub fn unread(&self) -> Vec<String> {
        self.unread.lock().clone()
    }

    pub fn set_unread(&self, unread: Vec<String>) {
        *self.unread.lock() = unread;
    }

    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
        if connected {
            let mut fault = self.fault.lock();
            fault.take_if(|fault| !fault.kind.is_lasting());
        }
    }

    /// Topics and group are there for us after all.
    pub fn set_permitted(&self) {
        self.fault.lock().take_if(|fault| fault.kind.is_lasting());
    }

    pub fn set_partitions(&self, partitions: usize) {
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// Notes what went wrong, unless something is known that says more.
    pub fn set_fault(&self, fault: SourceError) {
        let mut known = self.fault.lock();
        if !known
            .as_ref()
            .is_some_and(|known| fault.says_less_than(known))
        {
            *known = Some(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fault::SourceErrorKind;

    #[test]
    fn a_reason_is_kept_until_it_is_gone() {
        let status = SourceStatus::default();
        let kind = || status.fault().map(|fault| fault.kind);
        for (told, kept) in [
            (SourceErrorKind::Unreachable, SourceErrorKind::Unreachable),
            (SourceErrorKind::Name, SourceErrorKind::Name),
            (SourceErrorKind::Unreachable, SourceErrorKind::Name),
            (SourceErrorKind::Login, SourceErrorKind::Login),
            (SourceErrorKind::Unreachable, SourceErrorKind::Login),
            (SourceErrorKind::Tls, SourceErrorKind::Tls),
        ] {
            status.set_fault(SourceError::new(told, "told"));
            assert_eq!(kind(), Some(kept));
        }
        status.set_connected(true);
        assert_eq!(kind(), None);
    }

    #[test]
    fn a_topic_that_is_not_there_is_a_fault_however_well_we_are_connected() {
        let status = SourceStatus::default();
        status.set_fault(SourceError::new(SourceErrorKind::Topic, "told"));
        status.set_connected(true);
        assert!(status.fault().is_some());
        status.set_permitted();
        assert_eq!(status.fault(), None);
    }
}
