//! The id of one request to an upstream: how it is written, and which ids in answers match it.

/// A number that no other request on the same connection has, so that answers cannot be confused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

/// Digits of the largest number.
const MOST_DIGITS: usize = 20;

impl RequestId {
    /// Appends it as the last member of a call that [`encode`](super::encode) left open, and closes
    /// the object.
    pub fn close(self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(self.0).as_bytes());
        out.push(b'}');
    }

    /// How many bytes [`Self::close`] appends.
    pub fn closing_length(self) -> usize {
        self.0.checked_ilog10().unwrap_or_default() as usize + 1 + 1
    }

    /// Whether the raw JSON of an answer's id is this one. Some servers return every id as a
    /// string; since no other request had this number, that matches too.
    pub fn is(self, raw: &[u8]) -> bool {
        let digits = raw
            .strip_prefix(b"\"")
            .and_then(|raw| raw.strip_suffix(b"\""))
            .unwrap_or(raw);
        let canonical = digits.len() == 1 || digits.first() != Some(&b'0');
        canonical && number(digits) == Some(self.0)
    }
}

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// Digits only; no overflow.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > MOST_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn it_is_written_and_known_again() {
        for number in [0, 7, 10, 4_294_967_296, u64::MAX] {
            let mut out = Vec::new();
            let id = RequestId::from(number);
            id.close(&mut out);
            assert_eq!(out, format!("{number}}}").as_bytes());
            assert_eq!(out.len(), id.closing_length());
            assert!(id.is(number.to_string().as_bytes()));
            assert!(id.is(format!("\"{number}\"").as_bytes()));
        }
    }

    #[test]
    fn no_other_id_is_it() {
        let id = RequestId::from(7);
        for other in [
            "",
            "8",
            "77",
            "07",
            "-7",
            "7.0",
            "7e0",
            "null",
            "\"\"",
            "\"7",
            "7\"",
            "\" 7\"",
            "\"x\"",
            "18446744073709551623",
            "184467440737095516157",
        ] {
            assert!(!id.is(other.as_bytes()), "{other}");
        }
    }
}
