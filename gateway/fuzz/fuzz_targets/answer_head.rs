//! The heads of answers, and answers that are compressed: no panic; a head is not there before its
//! end, and is the same whatever follows; no split of a packed body matters, and no piece that comes
//! out of it is large.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_fuzz::upstream::{head, unpack};

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = (usize::from(input.0) + 1, input.1);
    if let Ok(Some(whole)) = head(bytes) {
        assert!(whole.length <= bytes.len());
        assert_eq!(head(&bytes[..whole.length]), Ok(Some(whole)));
        for end in (0..bytes.len()).step_by(step) {
            let Ok(Some(early)) = head(&bytes[..end]) else {
                continue;
            };
            assert_eq!(head(bytes), Ok(Some(early)), "at {end}");
        }
    }
    for gzip in [true, false] {
        let whole = unpack(gzip, bytes, bytes.len().max(1));
        assert_eq!(whole, unpack(gzip, bytes, step));
    }
});
