//! What the silence of a connection implies. Pure: it counts checks and what was heard between
//! them.

/// Checks without an arrival, with a call in progress, after which a PING is sent.
const ASK_AFTER: u32 = 2;

/// Checks without an arrival after which the connection gets no new calls.
const DOUBT_AFTER: u32 = 3;

/// Checks without an arrival after which it is closed.
const DEAD_AFTER: u32 = 5;

/// What the silence so far implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SilenceSign {
    Fine,
    Ask,
    Doubted,
    Dead,
}

#[derive(Debug, Default)]
pub(super) struct SilenceTimer {
    heard: u64,
    asked: u64,
    /// A call was sent and nothing arrived since, even if its caller has given up.
    expecting: bool,
    beats: u32,
}

impl SilenceTimer {
    pub(super) fn beat(&mut self, heard: u64, asked: u64, waiting: bool) -> SilenceSign {
        if heard != self.heard {
            self.expecting = false;
            self.beats = 0;
        }
        self.expecting |= waiting || asked != self.asked;
        self.beats += u32::from(self.expecting && heard == self.heard);
        (self.heard, self.asked) = (heard, asked);
        match self.beats {
            DEAD_AFTER.. => SilenceSign::Dead,
            DOUBT_AFTER.. => SilenceSign::Doubted,
            ASK_AFTER.. => SilenceSign::Ask,
            _ => SilenceSign::Fine,
        }
    }
}

#[cfg(test)]
mod tests;
