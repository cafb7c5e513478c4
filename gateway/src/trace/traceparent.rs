//! The header `traceparent`, to the letter of W3C's recommendation.
//!
//! ```text
//! 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//! version, trace-id, parent-id, flags: hexadecimal digits, lower case
//! ```

use super::context::TraceContext;
use super::ids::{SpanId, TraceId};
use super::tracestate::TraceState;

/// Bytes of the header in version 00.
pub(super) const LENGTH: usize = 55;

/// The flag of traces that are recorded.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// What a client says in `traceparent` and the lines of `tracestate`. `None` where it says nothing
    /// that holds: the trace then begins here. A `tracestate` that does not hold is left out.
    pub fn of(traceparent: &[u8], tracestate: &[&[u8]]) -> Option<Self> {
        let mut context = read(traceparent)?;
        context.state = TraceState::read(tracestate);
        Some(context)
    }
}

/// Reads one. Of versions to come what is known is read, as the recommendation asks for.
pub(super) fn read(value: &[u8]) -> Option<TraceContext> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|byte| *byte == b'-');
    let mut part = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.iter().try_fold(0_u128, |number, digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(number << 4 | u128::from(digit))
        })
    };
    let version = part(2)?;
    let (trace_id, span_id, flags) = (part(32)?, part(16)?, part(2)?);
    match version {
        0 if !rest.is_empty() => return None,
        0xff => return None,
        // Whatever a later version adds stands behind another dash.
        _ if rest.first().is_some_and(|byte| *byte != b'-') => return None,
        _ => {}
    }
    Some(TraceContext {
        trace_id: TraceId::new(trace_id)?,
        span_id: SpanId::new(u64::try_from(span_id).ok()?)?,
        sampled: flags & u128::from(SAMPLED) != 0,
        state: None,
    })
}

/// Writes one, in version 00.
pub(super) fn write(context: &TraceContext) -> String {
    let flags = if context.sampled { SAMPLED } else { 0 };
    format!("00-{}-{}-{flags:02x}", context.trace_id, context.span_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn an_usual_one_is_read_and_written_again() {
        let context = read(USUAL.as_bytes()).unwrap();
        assert_eq!(
            context.trace_id.to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(context.span_id.to_string(), "b7ad6b7169203331");
        assert!(context.sampled);
        assert_eq!(write(&context), USUAL);
    }

    #[test]
    fn only_the_flag_that_says_sampled_counts() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let value = format!("{}-{flags}", USUAL.strip_suffix("-01").unwrap());
            let context = read(value.as_bytes()).unwrap();
            assert_eq!(context.sampled, sampled, "{flags}");
            let written = write(&context);
            assert!(written.ends_with(if sampled { "-01" } else { "-00" }));
        }
    }

    #[test]
    fn of_versions_to_come_the_known_part_is_read() {
        let later = USUAL.replacen("00-", "cc-", 1);
        for later in [
            later.clone(),
            format!("{later}-"),
            format!("{later}-what.comes"),
        ] {
            let context = read(later.as_bytes()).unwrap();
            assert_eq!(write(&context), USUAL, "{later}");
        }
        assert_eq!(read(format!("{later}.more").as_bytes()), None);
        assert_eq!(read(later.get(..54).unwrap().as_bytes()), None);
    }

    #[test]
    fn what_is_not_to_the_letter_is_none() {
        let zero_trace = "0".repeat(32);
        let zero_span = "0".repeat(16);
        for bad in [
            String::new(),
            USUAL.to_uppercase(),
            USUAL.replacen("0a", "0A", 1),
            USUAL.replacen("00-", "ff-", 1),
            USUAL.replacen("00-", "0-", 1),
            USUAL.replace("0af7651916cd43dd8448eb211c80319c", &zero_trace),
            USUAL.replace("b7ad6b7169203331", &zero_span),
            USUAL.replace('-', "_"),
            USUAL.replacen('7', "g", 1),
            format!("{USUAL}-"),
            format!("{USUAL}-00"),
            format!(" {}", USUAL.get(..54).unwrap()),
            USUAL.get(..54).unwrap().to_owned(),
            // The dashes stand elsewhere.
            "00-0af7651916cd43dd8448eb211c8031-9cb7ad6b71692033311-01".to_owned(),
            format!("{USUAL},{USUAL}"),
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let context = TraceContext {
                trace_id: TraceId::new(trace).unwrap(),
                span_id: SpanId::new(span).unwrap(),
                sampled,
                state: None,
            };
            let written = write(&context);
            prop_assert_eq!(written.len(), LENGTH);
            prop_assert_eq!(read(written.as_bytes()), Some(context));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            drop(read(&bytes));
        }
    }
}
