//! The parameters of a query: decoded, and parsed where their form is known. Invalid ones are
//! refused before an upstream is asked.

use perijove_core::Pubkey;
use url::form_urlencoded;

/// Longer queries are refused.
const LONGEST: usize = 8 * 1024;

/// The whole of an amount.
pub(super) const ALL_BPS: u64 = 10_000;

/// Why no upstream can answer a query. The texts are for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    #[error("Query parameter {name} is missing")]
    Missing { name: &'static str },
    #[error("Query parameter {name} is given twice")]
    Twice { name: &'static str },
    #[error("Query parameter {name} cannot be parsed: {reason}")]
    Unreadable {
        name: &'static str,
        reason: &'static str,
    },
    #[error("Query parameters {first} and {second} cannot both be given")]
    Both {
        first: &'static str,
        second: &'static str,
    },
    #[error("Query parameters {first} and {second} must be given together")]
    Apart {
        first: &'static str,
        second: &'static str,
    },
    #[error("Query parameter maxAccounts is greater than {most}")]
    TooManyAccounts { most: u64 },
    #[error("The query is longer than {LONGEST} bytes")]
    TooLong,
    #[error("The query is not UTF-8, or has a % without two hexadecimal digits behind it")]
    NotText,
}

impl QueryFault {
    /// Jupiter's error code for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooManyAccounts { .. } => "MAX_ACCOUNT_GREATER_THAN_MAX",
            _ => "NOT_SUPPORTED",
        }
    }
}

/// Names and values in the order in which they were given.
pub(super) type Pairs = Vec<(String, String)>;

/// Decodes a query.
///
/// # Errors
/// It is too long, or decoding loses information: two different queries could then look alike.
pub(super) fn decode(query: &str) -> Result<Pairs, QueryFault> {
    if query.len() > LONGEST {
        return Err(QueryFault::TooLong);
    }
    if !is_well_escaped(query.as_bytes()) {
        return Err(QueryFault::NotText);
    }
    let decoded = form_urlencoded::parse(query.as_bytes());
    let pairs: Pairs = decoded
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    // Invalid UTF-8 has been replaced.
    let replaced = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    if pairs
        .iter()
        .any(|(name, value)| replaced(name) || replaced(value))
    {
        return Err(QueryFault::NotText);
    }
    Ok(pairs)
}

/// Whether two hexadecimal digits follow every percent sign. Decoders leave others unchanged, so
/// that `%zz` and `%25zz` would look alike.
fn is_well_escaped(query: &[u8]) -> bool {
    let mut escapes = memchr::memchr_iter(b'%', query);
    escapes.all(|at| {
        let digits = query.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Reads decoded parameters.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'q>(pub(super) &'q [(String, String)]);

impl<'q> Parameters<'q> {
    /// Every value of a parameter.
    pub(super) fn all(self, name: &str) -> impl Iterator<Item = &'q str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    pub(super) fn get(self, name: &str) -> Option<&'q str> {
        self.all(name).next()
    }

    /// Each of these is given at most once.
    pub(super) fn once(self, names: &[&'static str]) -> Result<(), QueryFault> {
        let twice = names.iter().find(|name| self.all(name).count() > 1);
        twice.map_or(Ok(()), |name| Err(QueryFault::Twice { name }))
    }

    pub(super) fn required(self, name: &'static str) -> Result<&'q str, QueryFault> {
        let value = self.get(name).filter(|value| !value.is_empty());
        value.ok_or(QueryFault::Missing { name })
    }

    pub(super) fn mint(self, name: &'static str) -> Result<Pubkey, QueryFault> {
        let value = self.required(name)?;
        value.parse().map_err(|_error| QueryFault::Unreadable {
            name,
            reason: "not the address of a mint",
        })
    }

    /// An address, if there is one.
    pub(super) fn address(self, name: &'static str) -> Result<Option<Pubkey>, QueryFault> {
        let address = self.get(name).map(str::parse).transpose();
        address.map_err(|_error| QueryFault::Unreadable {
            name,
            reason: "not an address",
        })
    }

    /// The amount, in the smallest units.
    pub(super) fn amount(self) -> Result<u64, QueryFault> {
        let name = "amount";
        let reason = match digits(self.required(name)?) {
            Some(0) => "must be above zero",
            Some(amount) => return Ok(amount),
            None => "not a whole number of 64 bits",
        };
        Err(QueryFault::Unreadable { name, reason })
    }

    /// A whole number of at most `most`, if there is one.
    pub(super) fn number(self, name: &'static str, most: u64) -> Result<Option<u64>, QueryFault> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = digits(value).filter(|number| *number <= most);
        number.map(Some).ok_or(QueryFault::Unreadable {
            name,
            reason: "not a whole number within its bounds",
        })
    }

    /// One of some words, if given; in exactly this spelling.
    pub(super) fn word(
        self,
        name: &'static str,
        words: &[&str],
        reason: &'static str,
    ) -> Result<Option<&'q str>, QueryFault> {
        match self.get(name) {
            Some(value) if !words.contains(&value) => Err(QueryFault::Unreadable { name, reason }),
            value => Ok(value),
        }
    }

    /// A boolean, if given; case does not matter.
    pub(super) fn flag(self, name: &'static str) -> Result<(), QueryFault> {
        let known =
            |value: &str| value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
        match self.get(name) {
            Some(value) if !known(value) => Err(QueryFault::Unreadable {
                name,
                reason: "neither true nor false",
            }),
            _ => Ok(()),
        }
    }

    /// Two parameters that exclude each other.
    pub(super) fn not_both(
        self,
        first: &'static str,
        second: &'static str,
    ) -> Result<(), QueryFault> {
        let named = |name| self.all(name).any(|value| !value.trim().is_empty());
        if named(first) && named(second) {
            return Err(QueryFault::Both { first, second });
        }
        Ok(())
    }
}

/// An amount as Jupiter writes it: digits without a sign or leading zeros, of at most 64 bits.
pub(super) fn canonical_u64(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && shortest)
}

/// Digits only: no sign, no fraction, no exponent.
fn digits(value: &str) -> Option<u64> {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decodes_without_loss_is_read() {
        for query in ["a=%", "a=%4", "a=%zz", "a%G0=1", "a=%ff", "a=1%", "%C3=1"] {
            assert_eq!(decode(query), Err(QueryFault::NotText), "{query}");
        }
        assert_eq!(decode(&"a".repeat(LONGEST + 1)), Err(QueryFault::TooLong));
        let pairs = decode("a=%2541&b=%C3%A9+x&&c").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, [pair("a", "%41"), pair("b", "é x"), pair("c", "")]);
    }
}
