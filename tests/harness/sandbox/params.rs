//! The `params` of a call, read as Agave reads them: positional, the configuration object being
//! whichever parameter is an object.

use serde_json::{Map, Value};

use super::failure::Failure;
use super::sight::Level;

/// No 32 bytes are spelled longer in base58; decoding takes time quadratic in the length.
const LONGEST_KEY: usize = 44;

/// Positional parameters.
#[derive(Debug, Default)]
pub struct Params {
    list: Vec<Value>,
}

impl Params {
    /// Parses the raw `params`; absent and `null` are an empty list.
    pub fn parse(raw: Option<&str>) -> Result<Self, Failure> {
        let list = match raw {
            None => Vec::new(),
            Some(text) => match serde_json::from_str(text) {
                Ok(Value::Array(list)) => list,
                Ok(Value::Null) => Vec::new(),
                _ => return Err(Failure::params("`params` should be an array")),
            },
        };
        Ok(Self { list })
    }

    /// The parameter at `position`, if it is there and not null.
    pub fn get(&self, position: usize) -> Option<&Value> {
        self.list.get(position).filter(|value| !value.is_null())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The error for a first parameter that is not there.
    pub fn missing_first(&self) -> Failure {
        Self::missing(0)
    }

    /// The text at `position`.
    pub fn text(&self, position: usize) -> Result<&str, Failure> {
        self.get(position)
            .and_then(Value::as_str)
            .ok_or_else(|| Self::missing(position))
    }

    /// The public key at `position`.
    pub fn pubkey(&self, position: usize) -> Result<&str, Failure> {
        let text = self.text(position)?;
        Self::check_key(text)?;
        Ok(text)
    }

    /// The number at `position`.
    pub fn number(&self, position: usize) -> Result<u64, Failure> {
        self.get(position)
            .and_then(Value::as_u64)
            .ok_or_else(|| Self::missing(position))
    }

    /// The texts of the array at `position`.
    pub fn texts(&self, position: usize) -> Result<Vec<&str>, Failure> {
        let list = self.get(position).and_then(Value::as_array);
        list.and_then(|list| list.iter().map(Value::as_str).collect())
            .ok_or_else(|| Self::missing(position))
    }

    /// The configuration object.
    pub fn config(&self) -> Option<&Map<String, Value>> {
        self.list.iter().rev().find_map(Value::as_object)
    }

    /// A member of the configuration object.
    pub fn option(&self, name: &str) -> Option<&Value> {
        self.config()?.get(name).filter(|value| !value.is_null())
    }

    /// The commitment asked for; what Agave does not know counts as absent.
    pub fn level(&self, default: Level) -> Level {
        self.option("commitment")
            .and_then(Value::as_str)
            .and_then(Level::parse)
            .unwrap_or(default)
    }

    /// The commitment asked for by a method that needs at least `confirmed`.
    pub fn level_of_history(&self) -> Result<Level, Failure> {
        match self.level(Level::Finalized) {
            Level::Processed => Err(Failure::params(
                "Method does not support commitment below `confirmed`",
            )),
            level => Ok(level),
        }
    }

    /// The encoding asked for.
    pub fn encoding(&self) -> Option<&str> {
        self.option("encoding").and_then(Value::as_str)
    }

    /// Checks that a text is a public key.
    pub fn check_key(text: &str) -> Result<(), Failure> {
        if text.len() > LONGEST_KEY {
            return Err(Failure::params("Invalid param: WrongSize"));
        }
        match bs58::decode(text).into_vec() {
            Ok(bytes) if bytes.len() == 32 => Ok(()),
            Ok(_) => Err(Failure::params("Invalid param: WrongSize")),
            Err(_) => Err(Failure::params("Invalid param: Invalid")),
        }
    }

    fn missing(position: usize) -> Failure {
        Failure::params(format!(
            "`params` should have at least {} argument(s)",
            position + 1
        ))
    }
}
