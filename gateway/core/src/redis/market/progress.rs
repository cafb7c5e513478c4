//! How much of a lane of the database has come to Redis. Ingest writes and reads it; whoever finds
//! it behind the database knows what to write again.

/// Everything of the lane up to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The batch, as the database numbers them.
    pub batch: i64,
    /// Candles that begin before are not whole, in milliseconds since 1970.
    pub since: i64,
}

impl Progress {
    pub fn encode(self) -> String {
        format!("{}:{}", self.batch, self.since)
    }

    /// None when it is not such a text.
    pub fn decode(text: &[u8]) -> Option<Self> {
        let (batch, since) = std::str::from_utf8(text).ok()?.split_once(':')?;
        Some(Self {
            batch: batch.parse().ok()?,
            since: since.parse().ok()?,
        })
    }
}
