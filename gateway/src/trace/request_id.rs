//! The id that a request has in logs, in answers and, where that is configured, at upstreams.

use smallvec::SmallVec;

/// Longest request id that is taken over from a client.
const LONGEST: usize = 128;

/// Names a request in logs and answers, here and at the client: 1 to 128 visible ASCII characters.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpRequestId(SmallVec<[u8; 16]>);

impl HttpRequestId {
    /// The client's own id if it is presentable, else a random one.
    pub fn of(given: Option<&[u8]>) -> Self {
        let presentable = given
            .filter(|id| (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic));
        presentable.map_or_else(Self::random, |id| Self(SmallVec::from_slice(id)))
    }

    /// Sixteen random hexadecimal digits.
    pub fn random() -> Self {
        let mut digits = [b'0'; 16];
        // They have room for eight bytes.
        hex::encode_to_slice(fastrand::u64(..).to_be_bytes(), &mut digits).ok();
        Self(SmallVec::from_buf(digits))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("-")
    }
}

/// The derived one would copy byte by byte.
impl Clone for HttpRequestId {
    fn clone(&self) -> Self {
        Self(SmallVec::from_slice(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_kept_and_an_unpresentable_one_replaced() {
        assert_eq!(HttpRequestId::of(Some(b"order-7")).as_str(), "order-7");
        let longest = "x".repeat(LONGEST);
        let kept = HttpRequestId::of(Some(longest.as_bytes()));
        assert_eq!(kept.as_str(), longest);
        let long = "x".repeat(LONGEST + 1);
        for bad in [None, Some(""), Some("a b"), Some("a\r\nb"), Some(&*long)] {
            let id = HttpRequestId::of(bad.map(str::as_bytes));
            assert_eq!(id.as_bytes().len(), 16, "{id:?}");
            assert!(id.as_bytes().iter().all(u8::is_ascii_hexdigit), "{id:?}");
        }
    }
}
