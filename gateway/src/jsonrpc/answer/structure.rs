//! Whether brackets outside of strings close each other, and the first one only at the very end. Looks
//! at 64 bytes at a time, which takes a twentieth of parsing, and half of that within long strings.

use crate::jsonrpc::cursor::Cursor;

mod container;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use container::OneContainer;

/// Whether a text that begins with a bracket is one object or array: `{…}{…}` and `{…}}` are not. Numbers
/// and words are not looked at, and neither is whether a bracket is closed by one of its kind.
pub(super) fn one_container(text: &[u8]) -> Option<OneContainer> {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(x86_64::Scan { simd, text });
    }
    by_tokens(text)
}

/// The same where the processor has no vectors that are known here.
fn by_tokens(text: &[u8]) -> Option<OneContainer> {
    let whole = Cursor::new(text).value()?;
    let suspicious = |byte: &u8| byte.cast_signed() < 0x20 || *byte == b'\\';
    (whole.len() == text.len()).then(|| OneContainer {
        is_plain: !text.iter().any(suspicious),
        is_odd: false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by one byte after the other.
    fn plainly(text: &[u8]) -> bool {
        let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if !in_string => return false,
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return at + 1 == text.len();
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn long(middle: &str) -> String {
        let filler = r#"{"key":"a \" } ] string","more":[1,2,{"x":[]}]},"#.repeat(30);
        format!("[{filler}{middle}]")
    }

    #[test]
    fn what_goes_on_after_its_end_is_not_one() {
        for (text, expected) in [
            (long("1"), true),
            (long("{}"), true),
            (long("\"\\\\\""), true),
            (long("1") + "[]", false),
            (long("1") + "]", false),
            (long("1") + r#","id":999}{"a":2}"#, false),
            (long("1") + " ", false),
            (long("1}"), false),
            (long("1}]"), false),
            (long("[1"), false),
            (long("\"1"), false),
            (long("\"1\\\""), false),
        ] {
            // Wherever blocks begin.
            for shift in 0..64 {
                let text = text.replacen('[', &format!("[{}", "0".repeat(shift)), 1);
                assert_eq!(one_container(text.as_bytes()).is_some(), expected, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_says_what_a_plain_walk_says(
            parts in proptest::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", "\"", "\\", "\\\"", ",", ":", "a", "0123456789", "\u{e4}",
                    "                                ", "\"{}[]\"", "[{}]", "\\\\",
                ]),
                0..60,
            ),
        ) {
            agrees(format!("[{}", parts.concat()).as_bytes());
        }

        #[test]
        fn it_agrees_where_strings_are_long(
            strings in proptest::collection::vec(
                proptest::collection::vec(
                    prop::sample::select(vec![
                        "A", "zz09+/=", "\u{7f}", "\u{e4}", "\n", "\u{1}", "\\\\", "\\\"", "{", "]", " ",
                        "0123456789012345678901234567890123456789012345678901234567890123456789",
                    ]),
                    0..12,
                ),
                1..6,
            ),
            // It begins with a bracket.
            at in 1_usize..2000,
            broken in prop::option::of(prop::sample::select(b"\"\\{}a\n".to_vec())),
        ) {
            let strings: Vec<String> = strings.iter().map(|parts| parts.concat()).collect();
            let mut text = format!("[\"{}\"]", strings.join("\",\"")).into_bytes();
            if let (Some(byte), Some(place)) = (broken, text.get_mut(at)) {
                *place = byte;
            }
            agrees(&text);
        }
    }

    /// Whether two tokens stand side by side, with nothing between them, that never do in JSON.
    fn odd_plainly(text: &[u8]) -> bool {
        let (mut in_string, mut escaped, mut before) = (false, false, b' ');
        for byte in text {
            let token = match byte {
                _ if escaped => {
                    escaped = false;
                    b'x'
                }
                b'\\' => {
                    escaped = true;
                    b'x'
                }
                b'"' => {
                    in_string = !in_string;
                    // A string begins like what opens, and ends like what closes.
                    if in_string { b'(' } else { b')' }
                }
                _ if in_string => b'x',
                b'{' | b'[' => b'[',
                b'}' | b']' => b']',
                b',' | b':' => b',',
                _ => b'x',
            };
            if matches!(
                (before, token),
                (b',', b']' | b',') | (b'[', b',') | (b']' | b')', b'[' | b'(')
            ) {
                return true;
            }
            before = token;
        }
        false
    }

    fn agrees(text: &[u8]) {
        let found = one_container(text);
        let is_odd = found.is_some_and(|found| found.is_odd);
        // Without vectors it is parsed, and never odd.
        if cfg!(target_arch = "x86_64") && found.is_some() {
            assert_eq!(is_odd, odd_plainly(text), "{}", text.escape_ascii());
        }
        assert_eq!(found.is_some(), plainly(text), "{}", text.escape_ascii());
        let plain = |byte: &u8| (0x20..0x80).contains(byte) && *byte != b'\\';
        let expected = text.iter().all(plain);
        assert!(found.is_none_or(|found| found.is_plain == expected));
    }
}
