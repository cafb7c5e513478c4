//! gzip for clients that ask for it.
//!
//! Not here: answers of upstreams, which are requested uncompressed.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// What a client says of gzip in `accept-encoding` (RFC 9110 §12.5.3), read line by line: several lines
/// are one list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GzipChoice {
    /// Where it is named, and nowhere refused.
    named: Option<bool>,
    /// The same of every coding that is not named.
    wildcard: Option<bool>,
}

impl GzipChoice {
    /// Reads a further line.
    pub(super) fn add(&mut self, line: &[u8]) {
        for choice in line.split(|byte| *byte == b',') {
            let mut parts = choice
                .splitn(2, |byte| *byte == b';')
                .map(<[u8]>::trim_ascii);
            let coding = parts.next().unwrap_or_default();
            let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
            let place = match coding {
                _ if is(b"gzip") || is(b"x-gzip") => &mut self.named,
                b"*" => &mut self.wildcard,
                _ => continue,
            };
            let admitted = parts.next().is_none_or(weighs_something);
            *place = Some(admitted && place.unwrap_or(true));
        }
    }

    /// Whether it is named or covered by `*`, with a weight above zero.
    pub(super) fn is_admitted(self) -> bool {
        self.named.or(self.wildcard).unwrap_or_default()
    }
}

/// Whether this is a weight (RFC 9110 §12.4.2) above zero.
fn weighs_something(weight: &[u8]) -> bool {
    let Some((b"q=" | b"Q=", value)) = weight.split_at_checked(2) else {
        return false;
    };
    match value {
        [b'0', b'.', digits @ ..] if digits.len() <= 3 => {
            digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|digit| *digit != b'0')
        }
        b"1" => true,
        [b'1', b'.', digits @ ..] => digits.len() <= 3 && digits.iter().all(|digit| *digit == b'0'),
        _ => false,
    }
}

/// A gzip stream fed with the chunks of one answer.
#[derive(Debug)]
pub(super) struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    /// `level` is 1 (fast) to 9 (small).
    pub(super) fn new(level: u32) -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::new(level)))
    }

    /// Compresses `chunk` and returns what is ready to be sent, which may be nothing yet.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Bytes {
        // Writing into a Vec cannot fail.
        if self.0.write_all(chunk).is_err() {
            return Bytes::new();
        }
        Bytes::from(std::mem::take(self.0.get_mut()))
    }

    /// The rest of the stream with its trailer.
    pub(super) fn finish(self) -> Bytes {
        Bytes::from(self.0.finish().unwrap_or_default())
    }
}

/// Compresses a whole body.
pub(super) fn gzip(body: &[u8], level: u32) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::new(level));
    match encoder.write_all(body).and_then(|()| encoder.finish()) {
        Ok(compressed) => Bytes::from(compressed),
        Err(_never_into_a_vec) => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    fn admits(lines: &[&str]) -> bool {
        let mut choice = GzipChoice::default();
        for line in lines {
            choice.add(line.as_bytes());
        }
        choice.is_admitted()
    }

    #[test]
    fn only_clients_that_admit_gzip_get_it() {
        for yes in [
            "gzip",
            "gzip, deflate",
            "br,gzip,deflate",
            "GZIP;q=0.5",
            "gzip ; Q=1.000",
            "gzip;q=0.001",
            "*",
            "br;q=1, *;q=0.1",
            "*;q=0, gzip",
        ] {
            assert!(admits(&[yes]), "{yes}");
        }
        for no in [
            "",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip;Q=0",
            "gzip;q=0.",
            "gzip; q=0.0, *",
            "gzip, gzip;q=0",
            "*;q=0",
        ] {
            assert!(!admits(&[no]), "{no}");
        }
    }

    #[test]
    fn what_is_no_weight_admits_nothing() {
        for weight in [
            "", "q", "q=", "q=abc", "q=2", "q=1.1", "q=-1", "q=0.1234", "q=.5", "q =1", "q= 1",
            "q=1e0", "q=nan", "level=9", "q=1;q=1",
        ] {
            for coding in ["gzip", "*"] {
                let no = format!("{coding};{weight}");
                assert!(!admits(&[&no]), "{no}");
                assert!(!admits(&[&format!("br, {no}, deflate")]), "{no}");
            }
            assert!(!admits(&[&format!("gzip;{weight}, *")]), "{weight}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        assert!(admits(&["br", "gzip"]));
        assert!(admits(&["gzip", "*;q=0"]));
        assert!(admits(&["", "deflate", "*"]));
        assert!(!admits(&["*", "gzip;q=0"]));
        assert!(!admits(&["gzip;q=0", "*"]));
        assert!(!admits(&["gzip", "gzip;q=0"]));
    }

    #[test]
    fn chunks_compressed_one_by_one_are_one_gzip_stream() {
        let text = "the quick brown fox ".repeat(10_000);
        let mut stream = Gzip::new(1);
        let mut sent = Vec::new();
        for chunk in text.as_bytes().chunks(7777) {
            sent.extend_from_slice(&stream.push(chunk));
        }
        sent.extend_from_slice(&stream.finish());
        assert_eq!(gunzip(&sent), text.as_bytes());
        assert_eq!(gunzip(&gzip(text.as_bytes(), 1)), text.as_bytes());
    }
}
