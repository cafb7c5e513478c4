//! Sources of records: Kafka, or a recording. Both produce the same events in the same order, so
//! that the pipeline need not know which it is.
//!
//! A partition is [assigned](SourceEvent::Assigned), [begun](SourceEvent::Begun) where the pipeline
//! says that it stopped, read in [batches](SourceEvent::Batch), and finally
//! [revoked](SourceEvent::Revoked) or
//! [lost](SourceEvent::Lost). All of it belongs to one [`Claim`]; later events of the partition
//! belong to another.
//!
//! Nothing is lost or skipped for lack of budget: when the records handed out and not yet dropped
//! reach the limits of [`BufferBudget`], no more are fetched. The sinks store offsets; they are
//! committed to Kafka afterwards, for tools that show the lag.

mod buffer;
mod claim;
mod control;
mod event;
mod fault;
pub mod kafka;
mod metrics;
pub mod replay;
mod status;

use tokio::sync::mpsc::UnboundedReceiver;

pub use buffer::{BufferBudget, Reservation};
pub use claim::Claim;
pub use control::{Control, SourceCommand};
pub use event::{ReadingStarted, RecordBatch, SourceEvent};
pub use fault::{SourceError, SourceErrorKind};
pub use metrics::SourceMetrics;
pub use status::SourceStatus;

/// A running source. Dropping it ends it without waiting for the records handed out.
#[derive(Debug)]
pub struct Source {
    events: UnboundedReceiver<SourceEvent>,
    control: Control,
    ended: bool,
}

/// The thread that reads is gone and has not said why: it has panicked.
fn abandoned() -> SourceEvent {
    tracing::error!(task = "source", "task ended unexpectedly; shutting down");
    let text = "task `source` ended unexpectedly; see the log";
    SourceEvent::Ended(Err(SourceError::new(SourceErrorKind::Other, text)))
}

impl Source {
    /// From the ends of its channels. The sender of events bounds what it sends by a [`BufferBudget`].
    pub fn new(events: UnboundedReceiver<SourceEvent>, control: Control) -> Self {
        Self {
            events,
            control,
            ended: false,
        }
    }

    /// The next event; `None` after [`SourceEvent::Ended`], which is also returned for a source
    /// that ended without one. Cancel safe.
    pub async fn next(&mut self) -> Option<SourceEvent> {
        let event = self.events.recv().await;
        let event = event.or_else(|| (!self.ended).then(abandoned));
        self.ended |= matches!(event, Some(SourceEvent::Ended(_)));
        event
    }

    /// The handle to control it.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.control.send(SourceCommand::Abort);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn a_source_that_breaks_without_a_word_ends_badly() {
        let (events, received) = unbounded_channel();
        let (sent, _commands) = mpsc::channel();
        let mut source = Source::new(received, Control::new(sent, Arc::default()));
        drop(events);
        assert!(matches!(
            source.next().await,
            Some(SourceEvent::Ended(Err(_)))
        ));
        assert!(source.next().await.is_none());
    }

    #[tokio::test]
    async fn a_source_ends_once() {
        let (events, received) = unbounded_channel();
        let (sent, _commands) = mpsc::channel();
        let mut source = Source::new(received, Control::new(sent, Arc::default()));
        events.send(SourceEvent::Ended(Ok(()))).unwrap();
        drop(events);
        assert!(matches!(
            source.next().await,
            Some(SourceEvent::Ended(Ok(())))
        ));
        assert!(source.next().await.is_none());
    }
}
