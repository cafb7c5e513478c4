//! What a socket and the task that manages it tell each other.

use std::sync::Arc;

use perijove_core::Slot;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;

use super::dial_error::DialError;
use crate::jsonrpc::RpcError;
use crate::pubsub::topic::{MissedRange, Topic};

/// Orders to a socket.
#[derive(Debug)]
pub(in crate::pubsub) enum SocketOrder {
    Subscribe(Arc<Topic>),
    Unsubscribe(Arc<Topic>),
}

/// Reports of a socket.
#[derive(Debug)]
pub(in crate::pubsub) enum SocketReport {
    Opened,
    /// If another socket served it before, with the newest slot that was delivered from there.
    Taken(Arc<Topic>, Option<Slot>),
    Refused(Arc<Topic>, RpcError),
    /// It was not answered in time, and still may be.
    Overdue(Arc<Topic>),
    /// The topic waits for what was missed before this.
    Missing(Arc<Topic>, MissedRange),
    /// The topic has ended.
    Ended(Arc<Topic>),
    Closed(CloseReason),
}

/// Why a socket was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pubsub) enum CloseReason {
    /// It could not be opened.
    Unreachable(DialError),
    /// The upstream closed it, with or without a close frame.
    Upstream { code: Option<u16> },
    /// It fell silent.
    Silent,
    /// It sent invalid messages.
    Garbled,
    /// It is not needed.
    Unused,
}

impl CloseReason {
    /// `sent` says whether the upstream has accepted, in time, what was sent to it.
    ///
    /// # Errors
    /// It has not.
    pub(super) fn unless_accepted<E>(sent: Result<Result<(), E>, Elapsed>) -> Result<(), Self> {
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(Self::Upstream { code: None }),
            Err(_elapsed) => Err(Self::Silent),
        }
    }

    /// The word in metrics and logs.
    pub(in crate::pubsub) fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Upstream { .. } => "closed",
            Self::Silent => "silent",
            Self::Garbled => "garbled",
            Self::Unused => "unused",
        }
    }

    /// The upstream's close code, if it sent one.
    pub(in crate::pubsub) fn code(&self) -> Option<u16> {
        match self {
            Self::Upstream { code } => *code,
            _ => None,
        }
    }
}

/// Where reports are sent, with the number of their socket.
pub(in crate::pubsub) type ReportSender = mpsc::UnboundedSender<(u64, SocketReport)>;
