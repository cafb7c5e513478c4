//! How much of a lane of the database has reached Redis. Ingest writes and reads it; if it is
//! behind the database, the difference is written again.

/// Everything of the lane up to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The batch, as the database numbers them.
    pub batch: i64,
    /// Candles that begin earlier are incomplete, in milliseconds since 1970.
    pub since: i64,
}

impl Progress {
    pub fn encode(self) -> String {
        format!("{}:{}", self.batch, self.since)
    }

    /// `None` if it is not such a text.
    pub fn decode(text: &[u8]) -> Option<Self> {
        let (batch, since) = std::str::from_utf8(text).ok()?.split_once(':')?;
        Some(Self {
            batch: batch.parse().ok()?,
            since: since.parse().ok()?,
        })
    }
}
