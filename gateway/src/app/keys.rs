//! The command `keys`.

use std::io::{BufRead, stdin};

use super::check::{complain, say};
use super::keys_file::{self, LockedKeysFile};
use super::wall_clock::system_time;
use crate::cli::{Exit, KeysCommand, NewKey, RevokedKeys};
use crate::config::{DEFAULT_PLAN, IssuedKey, KeyHash};

/// Enough that a key cannot be guessed.
const RANDOM_BYTES: usize = 24;

/// Digits of a hash that are printed to tell keys apart.
const SHORT: usize = 16;
const FEWEST_DIGITS: usize = 8;

pub(super) fn run(command: &KeysCommand) -> Exit {
    let done = match command {
        KeysCommand::New(new_key) => new(new_key),
        KeysCommand::Hash => hash(),
        KeysCommand::List(of) => keys_file::read(&of.file).map(|file| list(&file.keys)),
        KeysCommand::Revoke(which) => revoke(which),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!("perijove-gateway: {error}"));
            Exit::Failed
        }
    }
}

fn new(new: &NewKey) -> Result<(), String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    let key = format!("pj_{}", bs58::encode(bytes).into_string());
    let hash = KeyHash::of(key.as_bytes());
    if let (Some(file), Some(consumer)) = (&new.file, &new.consumer) {
        let mut opened = LockedKeysFile::or_new(file)?;
        opened.file.keys.push(IssuedKey {
            hash,
            consumer: consumer.clone(),
            plan: new.plan.clone(),
            created: Some(humantime::format_rfc3339_seconds(system_time()).to_string()),
        });
        opened.write()?;
    }
    say(&format!("key:  {key}\nhash: {hash}"));
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

/// One line per key, in columns.
fn list(keys: &[IssuedKey]) {
    let longest = keys.iter().map(|key| key.consumer.len()).max();
    let width = longest.unwrap_or_default();
    for key in keys {
        let plan = key.plan.as_deref().unwrap_or(DEFAULT_PLAN);
        let created = key.created.as_deref().unwrap_or("-");
        say(&format!(
            "{}  {:width$}  {plan}  {created}",
            short(key.hash),
            key.consumer
        ));
    }
}

fn revoke(which: &RevokedKeys) -> Result<(), String> {
    let mut opened = LockedKeysFile::existing(&which.of.file)?;
    let keys = &opened.file.keys;
    let gone: Vec<KeyHash> = if let Some(consumer) = &which.consumer {
        let own = keys.iter().filter(|key| key.consumer == *consumer);
        own.map(|key| key.hash).collect()
    } else {
        let found = which.hashes.iter().map(|digits| find(keys, digits));
        found.collect::<Result<_, _>>()?
    };
    if gone.is_empty() {
        return Err("no key in the keys file belongs to this consumer".to_owned());
    }
    let (revoked, kept) = opened
        .file
        .keys
        .drain(..)
        .partition(|key| gone.contains(&key.hash));
    opened.file.keys = kept;
    opened.write()?;
    list(&revoked);
    Ok(())
}

/// The only key whose hash begins with these digits.
fn find(keys: &[IssuedKey], digits: &str) -> Result<KeyHash, String> {
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    let digits = digits.to_ascii_lowercase();
    if digits.len() < FEWEST_DIGITS {
        return Err(format!(
            "{digits}: give at least {FEWEST_DIGITS} digits of the hash"
        ));
    }
    let begins = |key: &&IssuedKey| hex::encode(key.hash.0).starts_with(&digits);
    let mut found = keys.iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.hash),
        (Some(_), Some(_)) => Err(format!(
            "{digits}: more than one hash begins with these digits; give more of them"
        )),
        (None, _) => Err(format!(
            "{digits}: no key in the keys file has a hash that begins with these digits"
        )),
    }
}

fn short(hash: KeyHash) -> String {
    let mut digits = hex::encode(hash.0);
    digits.truncate(SHORT);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_the_beginning_of_its_hash_if_that_is_its_alone() {
        let key = |first: u8, second: u8| {
            let mut hash = [0xab; 32];
            hash[0] = first;
            hash[31] = second;
            IssuedKey {
                hash: KeyHash(hash),
                consumer: "a".to_owned(),
                plan: None,
                created: None,
            }
        };
        let keys = [key(1, 0), key(2, 0), key(2, 1)];
        let found = |digits: &str| find(&keys, digits);
        assert_eq!(found("01abABab"), Ok(keys[0].hash));
        assert_eq!(found(&keys[2].hash.to_string()), Ok(keys[2].hash));
        assert!(
            found("02ababab")
                .unwrap_err()
                .contains("more than one hash")
        );
        assert!(
            found("03ababab")
                .unwrap_err()
                .contains("no key in the keys file")
        );
        assert!(found("01abab").unwrap_err().contains("8 digits"));
    }
}
