//! What a client offers of permessage-deflate, and what is accepted of it (RFC 7692 §7.1).

/// The name of the extension.
const NAME: &[u8] = b"permessage-deflate";

/// Log2 of the window that a client has if it does not say otherwise, in bytes.
const MOST_BITS: u8 = 15;

/// What was agreed with a client: messages may be compressed in both directions, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateAgreement {
    /// Log2 of the window for messages to the client, if it limits it.
    window: Option<u8>,
}

impl DeflateAgreement {
    /// Accepts the first offer that can be accepted; `values` are those of all
    /// `Sec-WebSocket-Extensions` fields. What is malformed or unknown is declined: the socket goes on
    /// without compression.
    pub fn of_offers<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        values
            .flat_map(|value| Pieces {
                rest: Some(value),
                separator: b',',
            })
            .find_map(accepted)
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub fn answer(self) -> String {
        let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        match self.window {
            Some(bits) => format!("{answer}; server_max_window_bits={bits}"),
            None => answer.to_owned(),
        }
    }

    /// Whether a message to the client may be compressed: nothing in it can refer to what is outside
    /// of the client's window. The compressor's own window is the largest there is.
    pub(in crate::pubsub) fn admits(self, length: usize) -> bool {
        self.window
            .is_none_or(|bits| bits >= MOST_BITS || length <= 1 << bits)
    }
}

/// Reads one offer.
fn accepted(offer: &[u8]) -> Option<DeflateAgreement> {
    let mut parts = Pieces {
        rest: Some(offer),
        separator: b';',
    };
    if parts.next()? != NAME {
        return None;
    }
    let mut agreement = DeflateAgreement { window: None };
    let mut seen = Vec::new();
    for part in parts {
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next()?, halves.next());
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            // The first two are done anyway, and of the third it is not asked.
            (
                b"server_no_context_takeover"
                | b"client_no_context_takeover"
                | b"client_max_window_bits",
                None,
            ) => {}
            (b"client_max_window_bits", Some(value)) => {
                bits(value)?;
            }
            (b"server_max_window_bits", Some(value)) => agreement.window = Some(bits(value)?),
            _ => return None,
        }
    }
    Some(agreement)
}

/// 8 to 15, in decimal and without zeros before it; in quotes or not.
fn bits(value: &[u8]) -> Option<u8> {
    let quoted = value
        .strip_prefix(b"\"")
        .map(|rest| rest.strip_suffix(b"\""));
    let text = std::str::from_utf8(quoted.unwrap_or(Some(value))?).ok()?;
    let bits = text
        .parse()
        .ok()
        .filter(|bits| (8..=MOST_BITS).contains(bits))?;
    (bits.to_string() == text).then_some(bits)
}

/// The parts of a field between separators that are not in quotes, without spaces around them.
struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.iter().position(|byte| {
            let ends = *byte == self.separator && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            ends
        });
        let (piece, rest) = match end {
            Some(end) => {
                let (piece, rest) = text.split_at(end);
                (piece, rest.get(1..))
            }
            None => (text, None),
        };
        self.rest = rest;
        Some(piece.trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(offers: &[&str]) -> Option<String> {
        let values = offers.iter().map(|offer| offer.as_bytes());
        DeflateAgreement::of_offers(values).map(DeflateAgreement::answer)
    }

    const PLAIN: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn what_clients_offer_is_accepted() {
        for offer in [
            // ws, undici and browsers; websockets (Python); Go's.
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate;client_max_window_bits=15",
            "permessage-deflate ; client_max_window_bits=\"9\"",
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits",
            "permessage-bzip2; x=\"a,b;c\\\"\", permessage-deflate",
            ", permessage-deflate,",
        ] {
            assert_eq!(answer(&[offer]).as_deref(), Some(PLAIN), "{offer}");
        }
        assert_eq!(answer(&["a", "permessage-deflate"]).as_deref(), Some(PLAIN));
    }

    #[test]
    fn a_window_is_agreed_where_the_client_limits_it() {
        for bits in 8..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let expected = format!("{PLAIN}; server_max_window_bits={bits}");
            assert_eq!(answer(&[&offer]), Some(expected));
            let quoted = format!("permessage-deflate; server_max_window_bits=\"{bits}\"");
            assert_eq!(answer(&[&quoted]), answer(&[&offer]));
        }
    }

    #[test]
    fn what_is_malformed_or_unknown_is_declined_and_the_next_offer_counts() {
        for offer in [
            "",
            "permessage-deflat",
            "permessage-deflate-x",
            "Permessage-Deflate",
            "x-webkit-deflate-frame",
            "permessage-deflate;",
            "permessage-deflate; ;",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=9x",
            "permessage-deflate; server_max_window_bits= 9",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate; server_max_window_bits=\"9\"\"",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits=256",
            "permessage-deflate = 1",
            "permessage-deflate client_max_window_bits",
            "\"permessage-deflate\"",
            "a; b=\"c, permessage-deflate",
            "a; b=\"\\\", permessage-deflate",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
            let unclosed = offer.matches('"').count() % 2 == 1 || offer.contains('\\');
            let followed = format!("{offer}, permessage-deflate");
            assert!(
                unclosed || answer(&[&followed]).as_deref() == Some(PLAIN),
                "{followed}"
            );
            assert_eq!(
                answer(&[offer, "permessage-deflate"]).as_deref(),
                Some(PLAIN)
            );
        }
        assert_eq!(answer(&[]), None);
    }

    #[test]
    fn only_messages_that_fit_into_the_clients_window_are_compressed() {
        let of = |offer: &str| DeflateAgreement::of_offers([offer.as_bytes()].into_iter()).unwrap();
        let small = of("permessage-deflate; server_max_window_bits=10");
        assert!(small.admits(1024) && !small.admits(1025));
        for large in [
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=15",
        ] {
            assert!(of(large).admits(1 << 30));
        }
    }

    proptest! {
        #[test]
        fn no_offer_is_an_error(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _never_panics = DeflateAgreement::of_offers([&value[..]].into_iter());
        }

        #[test]
        fn parameters_are_accepted_in_any_order(
            order in Just([
                "server_no_context_takeover",
                "client_no_context_takeover",
                "server_max_window_bits=12",
                "client_max_window_bits",
            ]).prop_shuffle(),
            count in 0..=4_usize,
        ) {
            let chosen = &order[..count];
            let offer = chosen.iter().fold("permessage-deflate".to_owned(), |all, one| all + "; " + one);
            let limited = chosen.contains(&"server_max_window_bits=12");
            let expected = if limited { format!("{PLAIN}; server_max_window_bits=12") } else { PLAIN.to_owned() };
            prop_assert_eq!(answer(&[&offer]), Some(expected));
        }
    }
}
