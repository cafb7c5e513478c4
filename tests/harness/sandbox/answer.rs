//! Answers one call as an Agave node would: finds the method, checks what every method checks,
//! and wraps the result. The methods themselves are in `answer/`, one file per subject.

mod accounts;
mod blocks;
mod cluster;
pub(super) mod filters;
mod heads;
mod transactions;

use bytes::Bytes;
use serde_json::{Value, json};

use super::accounts::Accounts;
use super::afflictions::Distortion;
use super::body::Body;
use super::chain::Moment;
use super::failure::Failure;
use super::ledger::Ledger;
use super::params::Params;
use super::sight::{Level, Sight};

/// The version the validators say they run.
pub const API_VERSION: &str = "4.2.2";

/// Everything an answer depends on besides the call.
#[derive(Debug)]
pub struct Node<'a> {
    /// The validator's number.
    pub index: usize,
    /// How many validators the cluster has.
    pub validators: usize,
    /// What this validator has seen.
    pub sight: Sight,
    /// The cluster's newest slot.
    pub tip: u64,
    /// What its faults make it believe.
    pub distortion: Distortion,
    pub ledger: &'a Ledger,
    /// What the accounts hold.
    pub accounts: Accounts,
}

/// One group's answer: `None` if the method is not of the group.
type Found = Option<Result<Value, Failure>>;

impl Node<'_> {
    /// Answers a call; `raw` is the text of its `params`.
    pub fn answer(&self, method: &str, raw: Option<&str>) -> Result<Body, Failure> {
        match method {
            "sandboxEcho" => return Ok(raw.unwrap_or("null").to_owned().into()),
            "sandboxPad" => return pad(&Params::parse(raw)?),
            _ => {}
        }
        let params = Params::parse(raw)?;
        self.check_min_context_slot(method, &params)?;
        let found = heads::answer(self, method, &params)
            .or_else(|| accounts::answer(self, method, &params))
            .or_else(|| blocks::answer(self, method, &params))
            .or_else(|| transactions::answer(self, method, &params))
            .or_else(|| cluster::answer(self, method, &params));
        match found {
            Some(result) => result.map(|value| Body::from(value.to_string())),
            None => Err(Failure::new(-32601, "Method not found")),
        }
    }

    /// `{context, value}` with the slot of the caller's commitment.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the last step of methods that can fail"
    )]
    fn wrapped(&self, params: &Params, value: Value) -> Result<Value, Failure> {
        Ok(wrapped_at(self.slot(params), value))
    }

    /// The slot of the caller's commitment.
    fn slot(&self, params: &Params) -> u64 {
        self.moment(params).slot
    }

    /// The slot of the caller's commitment and the line it is on.
    fn moment(&self, params: &Params) -> Moment {
        self.sight.moment(params.level(Level::Finalized))
    }

    /// The slot that what a node says at its newest is about in a cluster at rest; in a moving one
    /// every answer follows from the slot of the caller's commitment.
    fn newest(&self, level: Level, params: &Params) -> u64 {
        if self.accounts.moves() {
            self.slot(params)
        } else {
            self.sight.at(level)
        }
    }

    fn check_min_context_slot(&self, method: &str, params: &Params) -> Result<(), Failure> {
        let Some(wanted) = params.option("minContextSlot").and_then(Value::as_u64) else {
            return Ok(());
        };
        // A preflight runs at its own commitment.
        let level = if method == "sendTransaction" {
            params
                .option("preflightCommitment")
                .and_then(Value::as_str)
                .and_then(Level::parse)
                .unwrap_or(Level::Finalized)
        } else {
            params.level(Level::Finalized)
        };
        let slot = self.sight.at(level);
        if slot < wanted {
            return Err(Failure::min_context_slot(slot));
        }
        Ok(())
    }
}

/// `{context, value}` as of a slot.
fn wrapped_at(slot: u64, value: Value) -> Value {
    let mut wrapped = json!({ "context": { "apiVersion": API_VERSION, "slot": slot } });
    set(&mut wrapped, "value", value);
    wrapped
}

/// A string of as many letters as asked for.
fn pad(params: &Params) -> Result<Body, Failure> {
    let bytes = params
        .option("bytes")
        .and_then(Value::as_u64)
        .ok_or_else(|| Failure::params("sandboxPad takes [{\"bytes\": N}]"))?;
    let mut body = Body::from(Bytes::from_static(b"\""));
    body.pad(bytes);
    body.text("\"");
    Ok(body)
}

/// A recorded answer; the recordings are checked by a test.
fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Sets a member of an object, or of the first object of an array.
fn set(value: &mut Value, name: &str, to: impl Into<Value>) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), to.into());
    }
}

#[cfg(test)]
mod tests;
