//! The command `keys`.

use std::io::{BufRead, stdin};

use super::check::{complain, say};
use crate::cli::{Exit, Keys};
use crate::config::KeyHash;

/// As many as nobody guesses.
const RANDOM_BYTES: usize = 24;

pub(super) fn run(command: &Keys) -> Exit {
    let done = match command {
        Keys::New => new(),
        Keys::Hash => hash(),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("perijove-gateway: {error}"));
            Exit::Failed
        }
    }
}

fn new() -> Result<(), String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    let key = format!("pj_{}", bs58::encode(bytes).into_string());
    say(&format!(
        "key:  {key}\nhash: {}",
        KeyHash::of(key.as_bytes())
    ));
    Ok(())
}

fn hash() -> Result<(), String> {
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| format!("cannot read standard input: {error}"))?;
        let key = line.trim();
        if !key.is_empty() {
            say(&KeyHash::of(key.as_bytes()).to_string());
        }
    }
    Ok(())
}
