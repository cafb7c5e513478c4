//! Whether brackets outside of strings close each other, and the first one only at the very end. Looks
//! at 64 bytes at a time, which takes a twentieth of parsing.

use crate::jsonrpc::cursor::Cursor;

/// Whether a text that begins with a bracket is one object or array and nothing else, as far as brackets
/// and strings go: `{…}{…}` and `{…}}` are not. What is between the brackets is not looked at, and
/// neither is whether a bracket is closed by one of its kind.
pub(super) fn is_one_container(text: &[u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return simd.vectorize(vectorised::Scan { simd, text });
    }
    let whole = Cursor::new(text).value();
    whole.is_some_and(|value| value.len() == text.len())
}

#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::inline_always,
    reason = "the processor's instructions are used only in what is inlined into the vectorised call"
)]
mod vectorised {
    use pulp::NullaryFnOnce;
    use pulp::x86::V3;

    const BLOCK: usize = 64;
    const HALF: usize = BLOCK / 2;

    pub(super) struct Scan<'a> {
        pub(super) simd: V3,
        pub(super) text: &'a [u8],
    }

    impl NullaryFnOnce for Scan<'_> {
        type Output = bool;

        #[inline(always)]
        fn call(self) -> bool {
            let mut walk = Walk::default();
            let (blocks, rest) = self.text.as_chunks::<BLOCK>();
            for block in blocks {
                if walk.is_over() || !walk.takes(&BlockMarks::of(self.simd, block)) {
                    return false;
                }
            }
            if !rest.is_empty() {
                let mut last = [b' '; BLOCK];
                for (to, from) in last.iter_mut().zip(rest) {
                    *to = *from;
                }
                if walk.is_over() || !walk.takes(&BlockMarks::of(self.simd, &last)) {
                    return false;
                }
            }
            let closes = matches!(self.text.last(), Some(b'}' | b']'));
            closes && walk.is_over() && walk.in_string == 0
        }
    }

    /// Where the characters that matter stand in a block; the lowest bit is the first byte.
    struct BlockMarks {
        quotes: u64,
        slashes: u64,
        opens: u64,
        closes: u64,
    }

    impl BlockMarks {
        #[inline(always)]
        fn of(simd: V3, block: &[u8; BLOCK]) -> Self {
            let [low, high]: [[u8; HALF]; 2] = pulp::cast(*block);
            let (low, high) = (HalfMarks::of(simd, low), HalfMarks::of(simd, high));
            let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << HALF;
            Self {
                quotes: join(low.quotes, high.quotes),
                slashes: join(low.slashes, high.slashes),
                opens: join(low.opens, high.opens),
                closes: join(low.closes, high.closes),
            }
        }
    }

    struct HalfMarks {
        quotes: u32,
        slashes: u32,
        opens: u32,
        closes: u32,
    }

    impl HalfMarks {
        #[inline(always)]
        fn of(simd: V3, half: [u8; HALF]) -> Self {
            let (avx, avx2) = (simd.avx, simd.avx2);
            let bytes = pulp::cast(half);
            let all = |byte: u8| avx._mm256_set1_epi8(byte.cast_signed());
            let equal = |bytes, byte| {
                let found = avx2._mm256_cmpeq_epi8(bytes, all(byte));
                avx2._mm256_movemask_epi8(found).cast_unsigned()
            };
            // Turns `[` into `{` and `]` into `}`, and nothing else into either.
            let curly = avx2._mm256_or_si256(bytes, all(0x20));
            Self {
                quotes: equal(bytes, b'"'),
                slashes: equal(bytes, b'\\'),
                opens: equal(curly, b'{'),
                closes: equal(curly, b'}'),
            }
        }
    }

    /// What is known at the end of a block.
    #[derive(Default)]
    struct Walk {
        /// Brackets that are open.
        depth: u64,
        /// All bits: the next byte is within a string.
        in_string: u64,
        /// One: the next byte is escaped.
        escaped: u64,
        begun: bool,
    }

    impl Walk {
        /// Whether the first bracket has been closed.
        fn is_over(&self) -> bool {
            self.begun && self.depth == 0
        }

        /// Takes a block in; `false` if a bracket follows the end or closes nothing, or a backslash stands
        /// outside of a string.
        #[inline(always)]
        fn takes(&mut self, marks: &BlockMarks) -> bool {
            let plain = (marks.quotes | marks.slashes | self.escaped) == 0;
            if plain && self.in_string != 0 {
                return true;
            }
            let within = self.strings(marks.quotes, marks.slashes);
            if marks.slashes & !within != 0 {
                return false;
            }
            let (opens, closes) = (marks.opens & !within, marks.closes & !within);
            let (up, down) = (opens.count_ones(), closes.count_ones());
            if self.depth > u64::from(down) {
                self.depth = self.depth + u64::from(up) - u64::from(down);
                return true;
            }
            self.takes_one_by_one(opens, closes)
        }

        /// The bits within strings, the opening quote included.
        #[inline(always)]
        fn strings(&mut self, quotes: u64, slashes: u64) -> u64 {
            let mut within = quotes & !self.escapes(slashes);
            // Each bit becomes the parity of those up to it.
            for distance in [1, 2, 4, 8, 16, 32] {
                within ^= within << distance;
            }
            within ^= self.in_string;
            self.in_string = 0_u64.wrapping_sub(within >> (BLOCK - 1));
            within
        }

        /// The bits after an odd number of backslashes.
        #[inline(always)]
        fn escapes(&mut self, slashes: u64) -> u64 {
            const EVEN: u64 = 0x5555_5555_5555_5555;
            if slashes == 0 {
                return std::mem::take(&mut self.escaped);
            }
            let slashes = slashes & !self.escaped;
            let follows = slashes << 1 | self.escaped;
            let odd_starts = slashes & !EVEN & !follows;
            // A run that begins at an odd place carries into the bit after it.
            let (sequences, over) = odd_starts.overflowing_add(slashes);
            self.escaped = u64::from(over);
            (EVEN ^ (sequences << 1)) & follows
        }

        #[cold]
        fn takes_one_by_one(&mut self, opens: u64, closes: u64) -> bool {
            let mut left = opens | closes;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                left ^= bit;
                if self.is_over() {
                    return false;
                }
                if opens & bit != 0 {
                    self.begun = true;
                    self.depth += 1;
                } else if let Some(depth) = self.depth.checked_sub(1) {
                    self.depth = depth;
                } else {
                    return false;
                }
            }
            true
        }
    }
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
                assert_eq!(is_one_container(text.as_bytes()), expected, "{text}");
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
            let text = format!("[{}", parts.concat());
            prop_assert_eq!(is_one_container(text.as_bytes()), plainly(text.as_bytes()));
        }
    }
}
