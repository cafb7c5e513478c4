//! Suggestions for unknown words.

/// Maximum number of places named for a misplaced key.
const MOST_PLACES: usize = 3;

/// What to say about a key there is not: what was probably meant, or all there are.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    match close(key, known) {
        Some(close) => format!("unknown key; did you mean `{close}`?"),
        None => format!("unknown key; the keys here are {}", known.join(", ")),
    }
}

/// What was probably meant by a word: the known one that differs in the fewest letters, if those are
/// few for its length.
pub fn close<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distances = known
        .iter()
        .map(|known| (strsim::levenshtein(word, known), *known));
    let (distance, close) = distances.min()?;
    (distance <= 1 + close.len() / 4).then_some(close)
}

/// The message for a key that exists at other places: where. `None` if it does not.
pub(super) fn elsewhere(key: &str, places: &[String]) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for place in places {
        let steps: Vec<_> = place.split('.').collect();
        let named = |step: &&str| step.trim_end_matches("[]") == key;
        if let Some(last) = steps.iter().position(named) {
            let whole = steps.get(..=last).unwrap_or_default().join(".");
            if !found.contains(&whole) {
                found.push(whole);
            }
        }
    }
    let list: Vec<_> = found
        .iter()
        .take(MOST_PLACES)
        .map(|place| format!("`{place}`"))
        .collect();
    let more = if found.len() > MOST_PLACES {
        " and others"
    } else {
        ""
    };
    let list = list.join(", ");
    (!found.is_empty()).then(|| format!("unknown key here; it belongs elsewhere: {list}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_answered_with_what_was_probably_meant() {
        let known = ["timeouts", "tier", "url"];
        assert_eq!(
            unknown("timeout", &known),
            "unknown key; did you mean `timeouts`?"
        );
        assert_eq!(
            unknown("colour", &known),
            "unknown key; the keys here are timeouts, tier, url"
        );
    }

    #[test]
    fn a_key_that_stands_elsewhere_is_told_where() {
        let places = [
            "limits.request_timeout",
            "upstreams[].tls.sni",
            "upstreams[].tls.ca",
            "jupiter.upstreams[].tls.ca",
            "a.x",
            "b.x",
            "c.x",
            "d.x",
        ]
        .map(str::to_owned);
        for (key, said) in [
            ("request_timeout", "`limits.request_timeout`"),
            ("tls", "`upstreams[].tls`, `jupiter.upstreams[].tls`"),
            ("upstreams", "`upstreams[]`, `jupiter.upstreams[]`"),
            ("x", "`a.x`, `b.x`, `c.x` and others"),
        ] {
            let expected = format!("unknown key here; it belongs elsewhere: {said}");
            assert_eq!(elsewhere(key, &places), Some(expected));
        }
        assert_eq!(elsewhere("colour", &places), None);
    }
}
