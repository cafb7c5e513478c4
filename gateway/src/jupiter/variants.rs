//! Variants of a quote: the same request with other limits on the route. Parameters given by the
//! caller are never changed.

use super::{QuoteFacts, QuoteQuery, SwapMode};

/// A quote that may be better than the requested one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name in headers.
    pub name: String,
    /// The whole query.
    pub query: String,
}

/// The name of the quote as requested.
pub const AS_ASKED: &str = "as-asked";

/// All variants of a quote, itself first, at most `most`. `dexes` are sets of exchanges to try.
pub fn variants(query: &str, parsed: &QuoteQuery, dexes: &[String], most: usize) -> Vec<Variant> {
    let with = |name: String, parameter: &str, value: &str| Variant {
        name,
        query: with_parameter(query, parameter, value),
    };
    let mut all = vec![Variant {
        name: AS_ASKED.to_owned(),
        query: query.to_owned(),
    }];
    for (name, parameter, value) in [
        ("direct", "onlyDirectRoutes", "true"),
        ("any-intermediates", "restrictIntermediateTokens", "false"),
    ] {
        if parsed.get(parameter).is_none() {
            all.push(with(name.to_owned(), parameter, value));
        }
    }
    if parsed.get("dexes").is_none() && parsed.get("excludeDexes").is_none() {
        for set in dexes {
            all.push(with(format!("dexes:{set}"), "dexes", set));
        }
    }
    all.truncate(most.max(1));
    all
}

/// The query with one parameter more.
pub fn with_parameter(query: &str, name: &str, value: &str) -> String {
    let pair = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    let mark = if query.is_empty() || query.ends_with('&') {
        ""
    } else {
        "&"
    };
    format!("{query}{mark}{pair}")
}

/// Whether one quote is better for its caller than another, both net of fees as Jupiter reports
/// amounts.
pub fn is_better(mode: SwapMode, one: &QuoteFacts, other: &QuoteFacts) -> bool {
    match mode {
        SwapMode::ExactIn => one.out_amount > other.out_amount,
        SwapMode::ExactOut => one.in_amount < other.in_amount,
    }
}

/// What a quote gains over another, in hundredths of a percent.
pub fn gain_bps(mode: SwapMode, best: &QuoteFacts, first: &QuoteFacts) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = |more: u64, less: u64| (more as f64 / less.max(1) as f64 - 1.0) * 10_000.0;
    match mode {
        SwapMode::ExactIn => ratio(best.out_amount, first.out_amount),
        SwapMode::ExactOut => ratio(first.in_amount, best.in_amount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "inputMint=So11111111111111111111111111111111111111112\
                         &outputMint=EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v&amount=1";

    fn names(query: &str, most: usize) -> Vec<String> {
        let parsed = QuoteQuery::read(query).unwrap();
        let dexes = ["Orca V2,Raydium".to_owned()];
        let all = variants(query, &parsed, &dexes, most);
        assert!(all.iter().all(|variant| variant.query.starts_with(query)));
        all.into_iter().map(|variant| variant.name).collect()
    }

    #[test]
    fn what_the_caller_has_said_is_not_tried_otherwise() {
        let all = [
            "as-asked",
            "direct",
            "any-intermediates",
            "dexes:Orca V2,Raydium",
        ];
        assert_eq!(names(QUERY, 5), all);
        assert_eq!(names(QUERY, 2), all[..2]);
        assert_eq!(names(QUERY, 0), all[..1]);
        for (said, left) in [
            ("&onlyDirectRoutes=false", vec![all[0], all[2], all[3]]),
            (
                "&restrictIntermediateTokens=true",
                vec![all[0], all[1], all[3]],
            ),
            ("&excludeDexes=Orca", vec![all[0], all[1], all[2]]),
        ] {
            assert_eq!(names(&format!("{QUERY}{said}"), 5), left);
        }
    }

    #[test]
    fn the_best_gives_most_or_takes_least() {
        let facts = |in_amount, out_amount| QuoteFacts {
            in_amount,
            out_amount,
            ..QuoteFacts::read(
                br#"{"inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"1"}"#,
            )
            .unwrap()
        };
        let (first, second) = (facts(100, 1_000), facts(90, 1_010));
        for mode in [SwapMode::ExactIn, SwapMode::ExactOut] {
            assert!(is_better(mode, &second, &first) && !is_better(mode, &first, &second));
            assert!(!is_better(mode, &first, &first));
            assert!(gain_bps(mode, &first, &first).abs() < 1e-9);
        }
        assert!((gain_bps(SwapMode::ExactIn, &second, &first) - 100.0).abs() < 1e-6);
        assert!(gain_bps(SwapMode::ExactOut, &second, &first) > 1_000.0);
    }

    #[test]
    fn a_parameter_is_added_whatever_the_query_ends_with() {
        for (query, expected) in [("", "a=b+c"), ("x=1", "x=1&a=b+c"), ("x=1&", "x=1&a=b+c")] {
            assert_eq!(with_parameter(query, "a", "b c"), expected);
        }
    }
}
