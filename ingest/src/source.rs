//! Where records come from: Kafka, or a recording. Both give the same events in the same order, so
//! that the pipeline need not know which it is.
//!
//! A partition is [assigned](Event::Assigned), [begun](Event::Begun) where the pipeline says that it
//! stopped, read in [batches](Event::Batch), and at last [revoked](Event::Revoked) or
//! [lost](Event::Lost). All of it belongs to one [`Claim`]; what comes of a partition afterwards
//! belongs to another.
//!
//! Nothing here is lost or skipped for lack of room: when what was handed out and not yet dropped
//! reaches the limits of [`Room`], no more is fetched. Offsets are stored by the sinks; Kafka is
//! told afterwards, for tools that show the lag.

mod claim;
mod control;
mod event;
mod fault;
pub mod kafka;
mod metrics;
pub mod replay;
mod room;
mod status;

use tokio::sync::mpsc::UnboundedReceiver;

pub use claim::Claim;
pub use control::{Command, Control};
pub use event::{Batch, Begun, Event};
pub use fault::{Fault, FaultKind};
pub use metrics::SourceMetrics;
pub use room::{Load, Room};
pub use status::Status;

/// A running source. Dropping it ends it without waiting for what was handed out.
#[derive(Debug)]
pub struct Source {
    events: UnboundedReceiver<Event>,
    control: Control,
    ended: bool,
}

impl Source {
    /// From the ends of its channels. The sender of events bounds what it sends by a [`Room`].
    pub fn new(events: UnboundedReceiver<Event>, control: Control) -> Self {
        Self {
            events,
            control,
            ended: false,
        }
    }

    /// What happens next; None after [`Event::Ended`], which also comes of a source that broke
    /// without a word. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await;
        let event = event.or_else(|| {
            let broken = Fault::new(FaultKind::Other, "the source broke");
            (!self.ended).then_some(Event::Ended(Err(broken)))
        });
        self.ended |= matches!(event, Some(Event::Ended(_)));
        event
    }

    /// Tells it what to do.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.control.send(Command::Abort);
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
        assert!(matches!(source.next().await, Some(Event::Ended(Err(_)))));
        assert!(source.next().await.is_none());
    }

    #[tokio::test]
    async fn a_source_ends_once() {
        let (events, received) = unbounded_channel();
        let (sent, _commands) = mpsc::channel();
        let mut source = Source::new(received, Control::new(sent, Arc::default()));
        events.send(Event::Ended(Ok(()))).unwrap();
        drop(events);
        assert!(matches!(source.next().await, Some(Event::Ended(Ok(())))));
        assert!(source.next().await.is_none());
    }
}
