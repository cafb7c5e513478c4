//! The id of a caller's call, kept byte for byte, since clients match on its JSON type too (`"7"`
//! is not `7`).

use std::fmt;

use bytes::Bytes;

/// The raw JSON of an id: an unsigned integer, a string or `null`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Bytes);

impl Id {
    /// The id of answers to requests that could not be read.
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// Takes the raw JSON of an id; the parser has checked it.
    pub(super) const fn from_raw(raw: Bytes) -> Self {
        Self(raw)
    }

    /// The JSON text, verbatim.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The JSON text as shared bytes.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(Bytes::from(number.to_string()))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Id({})", String::from_utf8_lossy(&self.0))
    }
}
