//! Requests of HTTP/1: whatever the gateway's short way accepts, its long way accepts too; and what
//! either accepts, Pingora reads with the same method, target and end of the body. A server that
//! stands before or behind the gateway and is as lenient as that makes the same of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_fuzz::{edge, pingora};

fuzz_target!(|bytes: &[u8]| {
    let strict = edge::to_the_letter(bytes);
    if let Some(short) = edge::fast_path(bytes) {
        assert_eq!(strict.as_ref(), Some(&short), "the two ways differ");
    }
    let Some(strict) = strict else { return };
    // Pingora takes what follows such a head for another protocol's; the gateway changes to none.
    if bytes
        .to_ascii_lowercase()
        .windows(8)
        .any(|at| at == b"upgrade:")
    {
        return;
    }
    let end = bytes.len() - strict.rest.len();
    for taken in [bytes, &bytes[..end]] {
        let Some(theirs) = pingora::read(taken) else {
            panic!("Pingora refuses {strict:?}");
        };
        // CONNECT names no path, and is refused.
        if strict.method != "CONNECT" {
            assert_eq!(strict.target, theirs.target);
        }
        assert_eq!(
            (&strict.method, &strict.body),
            (&theirs.method, &theirs.body)
        );
    }
    assert_eq!(
        pingora::read(&bytes[..end - 1]),
        None,
        "without the last byte"
    );
});
