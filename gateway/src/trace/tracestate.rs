//! The header `tracestate`: what systems on the way say to themselves, passed on as it is. Read only to
//! leave out what is not to the letter of W3C's recommendation, which whoever comes next would refuse.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// Most entries of a list.
const MOST_ENTRIES: usize = 32;
/// Longest list that is passed on.
const LONGEST: usize = 512;
/// Longer entries are the first to go where a list is too long.
const LONG_ENTRY: usize = 128;
/// Longest key, and longest value.
const LONGEST_PART: usize = 256;
/// Of a key with an `@`: longest name of the tenant, and of the system behind it.
const LONGEST_TENANT: usize = 241;
const LONGEST_SYSTEM: usize = 14;

/// A list of keys and values, at most 512 bytes of visible ASCII characters and blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceState(Arc<str>);

impl TraceState {
    /// Reads the lines of a head in their order. `None` where they hold nothing, or anything that is
    /// not to the letter.
    pub(super) fn read(lines: &[&[u8]]) -> Option<Self> {
        let mut entries = Vec::new();
        for line in lines {
            let line = std::str::from_utf8(line).ok()?;
            for entry in line.split(',') {
                let entry = entry.trim_matches([' ', '\t']);
                if entry.is_empty() {
                    continue;
                }
                let (key, value) = entry.split_once('=')?;
                let known = |(known, _): &(&str, &str)| *known == key;
                if !is_key(key) || !is_value(value) || entries.iter().any(known) {
                    return None;
                }
                entries.push((key, entry));
            }
        }
        if entries.len() > MOST_ENTRIES {
            return None;
        }
        shorten(&mut entries);
        let list: Vec<&str> = entries.into_iter().map(|(_, entry)| entry).collect();
        (!list.is_empty()).then(|| Self(list.join(",").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for TraceState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Leaves out what is too much: long entries first, then the oldest.
fn shorten(entries: &mut Vec<(&str, &str)>) {
    let length = |entries: &[(&str, &str)]| {
        let bytes: usize = entries.iter().map(|(_, entry)| entry.len() + 1).sum();
        bytes.saturating_sub(1)
    };
    while length(entries) > LONGEST {
        let long = entries
            .iter()
            .rposition(|(_, entry)| entry.len() > LONG_ENTRY);
        match long {
            Some(long) => drop(entries.remove(long)),
            None => drop(entries.pop()),
        }
    }
}

fn is_key(key: &str) -> bool {
    let rest = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes()
            .all(|byte| plain(byte) || b"_-*/".contains(&byte))
    };
    let begins = |part: &str, first: fn(&u8) -> bool| part.as_bytes().first().is_some_and(first);
    match key.split_once('@') {
        None => key.len() <= LONGEST_PART && begins(key, u8::is_ascii_lowercase) && rest(key),
        Some((tenant, system)) => {
            let tenant_begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            tenant.len() <= LONGEST_TENANT
                && system.len() <= LONGEST_SYSTEM
                && begins(tenant, tenant_begins)
                && begins(system, u8::is_ascii_lowercase)
                && rest(tenant)
                && rest(system)
        }
    }
}

/// Anything visible and blanks, but no blank at its end.
fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    (1..=LONGEST_PART).contains(&value.len()) && value.bytes().all(allowed) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<String> {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        TraceState::read(&lines).map(|state| state.to_string())
    }

    #[test]
    fn lists_are_joined_in_their_order() {
        assert_eq!(read(&["a=1"]).unwrap(), "a=1");
        assert_eq!(
            read(&["a=1 ,, b=x y", "fw529a3039@dt=!~"]).unwrap(),
            "a=1,b=x y,fw529a3039@dt=!~"
        );
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["", " , "]), None);
    }

    #[test]
    fn one_entry_that_is_none_spoils_the_list() {
        let long = format!("a={}", "x".repeat(257));
        let many: Vec<String> = (0..33).map(|number| format!("a{number}=1")).collect();
        for bad in [
            "a",
            "a=",
            "=1",
            "A=1",
            "1a=1",
            "a@1b=1",
            "a@=1",
            "a=1=2",
            "a=\u{e4}",
            "a=1\u{7}",
            "a=1,a=2",
            "a b=1",
            &long,
            &many.join(","),
        ] {
            assert_eq!(read(&["b=1", bad]), None, "{bad}");
        }
        assert_eq!(read(&["a=1", "a=2"]), None);
        assert!(read(&[&many[..32].join(",")]).is_some());
    }

    #[test]
    fn a_list_that_is_too_long_loses_long_entries_first_and_then_the_last() {
        let long = format!("long={}", "x".repeat(200));
        let others: Vec<String> = (0..5)
            .map(|number| format!("k{number}={}", "y".repeat(90)))
            .collect();
        let list = format!("{},{long},{}", &others[0], others[1..].join(","));
        assert_eq!(read(&[&list]).unwrap(), others.join(","));
        let more: Vec<String> = (0..6)
            .map(|number| format!("k{number}={}", "y".repeat(97)))
            .collect();
        assert_eq!(read(&[&more.join(",")]).unwrap(), more[..5].join(","));
    }
}
