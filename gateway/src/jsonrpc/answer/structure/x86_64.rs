//! The search with 256-bit vectors (AVX2).

#![expect(
    clippy::inline_always,
    reason = "the processor's instructions are used only in what is inlined into the vectorised call"
)]

use std::arch::x86_64::__m256i;

use pulp::NullaryFnOnce;
use pulp::x86::V3;

use super::container::OneContainer;

const BLOCK: usize = 64;
const HALF: usize = BLOCK / 2;

pub(super) struct Scan<'a> {
    pub(super) simd: V3,
    pub(super) text: &'a [u8],
}

impl NullaryFnOnce for Scan<'_> {
    /// `None` if it is not one container.
    type Output = Option<OneContainer>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let mut walk = Walk::default();
        let (blocks, rest) = self.text.as_chunks::<BLOCK>();
        let mut blocks = blocks.iter();
        while let Some(block) = blocks.next() {
            walk.takes(&BlockMarks::of(self.simd, block))?;
            if walk.is_within_string() {
                let ends = |block: &[u8; BLOCK]| !continues_string(self.simd, block);
                let plain = blocks.as_slice().iter().position(ends);
                let left = blocks.as_slice().get(plain.unwrap_or(blocks.len())..);
                blocks = left.unwrap_or_default().iter();
            }
        }
        if !rest.is_empty() {
            let mut last = [b' '; BLOCK];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            walk.takes(&BlockMarks::of(self.simd, &last))?;
        }
        let closes = matches!(self.text.last(), Some(b'}' | b']'));
        let whole = closes && walk.is_over() && walk.in_string == 0;
        whole.then_some(OneContainer {
            is_plain: !walk.suspicious,
            is_odd: walk.odd != 0,
        })
    }
}

/// Whether a block that begins within a string is in it to its end, and plain.
#[inline(always)]
fn continues_string(simd: V3, block: &[u8; BLOCK]) -> bool {
    /// At the place of their last four bits: what ends a string or escapes in it. Elsewhere a byte with
    /// other last bits, which equals nothing that is looked up there.
    const ENDS: [u8; HALF] = {
        let mut ends = [0xff; HALF];
        ends[2] = b'"';
        ends[12] = b'\\';
        // Each half of the vector has its own table.
        ends[16 + 2] = b'"';
        ends[16 + 12] = b'\\';
        ends
    };
    let (avx, avx2) = (simd.avx, simd.avx2);
    let [low, high]: [[u8; HALF]; 2] = pulp::cast(*block);
    let (low, high) = (pulp::cast(low), pulp::cast(high));
    let ends =
        |bytes| avx2._mm256_cmpeq_epi8(avx2._mm256_shuffle_epi8(pulp::cast(ENDS), bytes), bytes);
    let found = avx2._mm256_or_si256(ends(low), ends(high));
    let found = avx2._mm256_or_si256(found, beyond_plain(simd, low, high));
    avx._mm256_testz_si256(found, found) == 1
}

/// Bytes that are control characters or not ASCII, in either half.
#[inline(always)]
fn beyond_plain(simd: V3, low: __m256i, high: __m256i) -> __m256i {
    let (avx, avx2) = (simd.avx, simd.avx2);
    // Bytes above 0x7f are negative.
    avx2._mm256_cmpgt_epi8(avx._mm256_set1_epi8(0x20), avx2._mm256_min_epi8(low, high))
}

/// Where the characters that matter stand in a block; the lowest bit is the first byte.
struct BlockMarks {
    quotes: u64,
    slashes: u64,
    opens: u64,
    closes: u64,
    /// Commas and colons.
    separators: u64,
    /// A control character, or a byte that is not ASCII, stands somewhere.
    suspicious: bool,
}

impl BlockMarks {
    #[inline(always)]
    fn of(simd: V3, block: &[u8; BLOCK]) -> Self {
        let [low, high]: [[u8; HALF]; 2] = pulp::cast(*block);
        let beyond = beyond_plain(simd, pulp::cast(low), pulp::cast(high));
        let (low, high) = (HalfMarks::of(simd, low), HalfMarks::of(simd, high));
        let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << HALF;
        Self {
            quotes: join(low.quotes, high.quotes),
            slashes: join(low.slashes, high.slashes),
            opens: join(low.opens, high.opens),
            closes: join(low.closes, high.closes),
            separators: join(low.separators, high.separators),
            suspicious: simd.avx._mm256_testz_si256(beyond, beyond) == 0,
        }
    }
}

struct HalfMarks {
    quotes: u32,
    slashes: u32,
    opens: u32,
    closes: u32,
    separators: u32,
}

impl HalfMarks {
    #[inline(always)]
    fn of(simd: V3, half: [u8; HALF]) -> Self {
        let (avx, avx2) = (simd.avx, simd.avx2);
        let bytes = pulp::cast(half);
        let all = |byte: u8| avx._mm256_set1_epi8(byte.cast_signed());
        let places = |found| avx2._mm256_movemask_epi8(found).cast_unsigned();
        let equal = |bytes, byte| places(avx2._mm256_cmpeq_epi8(bytes, all(byte)));
        // Turns `[` into `{` and `]` into `}`, and nothing else into either.
        let curly = avx2._mm256_or_si256(bytes, all(0x20));
        let [commas, colons] = [b',', b':'].map(|byte| avx2._mm256_cmpeq_epi8(bytes, all(byte)));
        Self {
            quotes: equal(bytes, b'"'),
            slashes: equal(bytes, b'\\'),
            opens: equal(curly, b'{'),
            closes: equal(curly, b'}'),
            separators: places(avx2._mm256_or_si256(commas, colons)),
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
    /// A byte that is not plain, or a backslash, was seen.
    suspicious: bool,
    /// What the last byte was.
    last: Neighbours,
    /// Not zero: tokens stand side by side that never do.
    odd: u64,
}

/// Bits of bytes by what they are, outside of strings.
#[derive(Clone, Copy, Default)]
struct Neighbours {
    separators: u64,
    opens: u64,
    /// Brackets and quotes that end something.
    ends: u64,
}

impl Neighbours {
    /// The same, each bit at the place of the byte behind; `before` is the last block.
    #[inline(always)]
    fn behind(self, before: Self) -> Self {
        let shifted = |bits: u64, before: u64| bits << 1 | before >> (BLOCK - 1);
        Self {
            separators: shifted(self.separators, before.separators),
            opens: shifted(self.opens, before.opens),
            ends: shifted(self.ends, before.ends),
        }
    }
}

impl Walk {
    /// Whether the first bracket has been closed.
    fn is_over(&self) -> bool {
        self.begun && self.depth == 0
    }

    /// Whether the next byte is within a string, and not escaped.
    fn is_within_string(&self) -> bool {
        self.in_string != 0 && self.escaped == 0
    }

    /// Takes a block in; `None` if a bracket follows the end or closes nothing, or a backslash stands
    /// outside of a string.
    #[inline(always)]
    fn takes(&mut self, marks: &BlockMarks) -> Option<()> {
        self.suspicious |= marks.suspicious || marks.slashes != 0;
        let (quotes, within) = self.strings(marks.quotes, marks.slashes);
        if marks.slashes & !within != 0 {
            return None;
        }
        let (opens, closes) = (marks.opens & !within, marks.closes & !within);
        let here = Neighbours {
            separators: marks.separators & !within,
            opens,
            ends: closes | (quotes & !within),
        };
        let before = here.behind(self.last);
        self.odd |= before.separators & (closes | here.separators);
        self.odd |= before.opens & here.separators;
        self.odd |= before.ends & (opens | (quotes & within));
        self.last = here;
        let (up, down) = (opens.count_ones(), closes.count_ones());
        if self.depth > u64::from(down) {
            self.depth = self.depth + u64::from(up) - u64::from(down);
            return Some(());
        }
        self.takes_one_by_one(opens, closes)
    }

    /// The quotes that begin and end strings, and the bits within strings, the opening quote included.
    #[inline(always)]
    fn strings(&mut self, quotes: u64, slashes: u64) -> (u64, u64) {
        let quotes = quotes & !self.escapes(slashes);
        let mut within = quotes;
        // Each bit becomes the parity of those up to it.
        for distance in [1, 2, 4, 8, 16, 32] {
            within ^= within << distance;
        }
        within ^= self.in_string;
        self.in_string = 0_u64.wrapping_sub(within >> (BLOCK - 1));
        (quotes, within)
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
    fn takes_one_by_one(&mut self, opens: u64, closes: u64) -> Option<()> {
        let mut left = opens | closes;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            if self.is_over() {
                return None;
            }
            if opens & bit != 0 {
                self.begun = true;
                self.depth += 1;
            } else {
                self.depth = self.depth.checked_sub(1)?;
            }
        }
        Some(())
    }
}
