//! Numbers with their nouns.

use std::fmt::Display;

/// `1 upstream`, `2 upstreams`. For nouns whose plural takes an `s`.
pub fn counted(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        for (number, text) in [
            (0, "0 slots"),
            (1, "1 slot"),
            (2, "2 slots"),
            (11, "11 slots"),
        ] {
            assert_eq!(counted(number, "slot"), text);
        }
    }
}
