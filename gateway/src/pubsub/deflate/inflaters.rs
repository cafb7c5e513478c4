//! Decompressors. One takes some 40 KiB, and is held only while a compressed message of a client is
//! arriving.

use std::sync::Arc;

use flate2::{Decompress, DecompressError, FlushDecompress, Status};
use parking_lot::Mutex;
use prometheus::IntCounter;

/// Decompressors for clients' messages: some are kept for the next ones, more are made when needed.
#[derive(Debug)]
pub(in crate::pubsub) struct Inflaters {
    idle: Mutex<Vec<Inflater>>,
    /// At most so many of them.
    kept: usize,
    /// Counts messages that were decompressed.
    received: IntCounter,
}

impl Inflaters {
    pub(in crate::pubsub) fn new(kept: usize, received: IntCounter) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::default(),
            kept,
            received,
        })
    }

    /// For one message.
    pub(super) fn take(&self) -> Inflater {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| Inflater(Decompress::new(false)))
    }

    /// The message was decompressed to its end.
    pub(super) fn done(&self, mut inflater: Inflater) {
        self.received.inc();
        inflater.0.reset(false);
        let mut idle = self.idle.lock();
        if idle.len() < self.kept {
            idle.push(inflater);
        }
    }
}

/// Decompresses one message.
#[derive(Debug)]
pub(super) struct Inflater(Decompress);

/// What became of some input.
pub(super) struct Inflated {
    /// Bytes of it that were used.
    pub(super) read: usize,
    /// A last block has ended; what follows stands for itself.
    pub(super) ended: bool,
}

impl Inflater {
    /// Decompresses into the free capacity of `output`.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Inflated, DecompressError> {
        let before = self.0.total_in();
        let status = self
            .0
            .decompress_vec(input, output, FlushDecompress::None)?;
        let read = self.0.total_in() - before;
        let ended = status == Status::StreamEnd;
        if ended {
            self.0.reset(false);
        }
        Ok(Inflated {
            read: usize::try_from(read).unwrap_or(usize::MAX),
            ended,
        })
    }
}
