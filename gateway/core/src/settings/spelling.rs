//! Guessing what was meant by a word that is not known.

/// What to say about a key there is not: what was probably meant, or all there are.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    let close = known
        .iter()
        .map(|known| (distance(key, known), known))
        .min();
    match close {
        Some((distance, close)) if distance <= 1 + close.len() / 4 => {
            format!("unknown key; did you mean `{close}`?")
        }
        _ => format!("unknown key; there are {}", known.join(", ")),
    }
}

/// How many letters have to be changed, added or left out to make one word of the other.
pub fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut last = above + 1;
        if let Some(first) = row.first_mut() {
            *first = last;
        }
        for (cell, to) in row.iter_mut().skip(1).zip(right.chars()) {
            let changed = diagonal + usize::from(from != to);
            diagonal = *cell;
            last = changed.min(last + 1).min(diagonal + 1);
            *cell = last;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_letters() {
        for (left, right, expected) in [
            ("", "", 0),
            ("url", "url", 0),
            ("ulr", "url", 2),
            ("adress", "address", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_what_was_probably_meant() {
        let known = ["timeouts", "tier", "url"];
        assert_eq!(
            unknown("timeout", &known),
            "unknown key; did you mean `timeouts`?"
        );
        assert_eq!(
            unknown("colour", &known),
            "unknown key; there are timeouts, tier, url"
        );
    }
}
