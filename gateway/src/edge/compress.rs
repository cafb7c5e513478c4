//! gzip for clients that ask for it.
//!
//! Not here: answers of upstreams, which are requested uncompressed.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Whether an `accept-encoding` header admits gzip (RFC 9110 §12.5.3): named or covered by `*`,
/// with a weight above zero.
pub(super) fn accepts_gzip(accept_encoding: &[u8]) -> bool {
    let mut wildcard = false;
    for choice in accept_encoding.split(|byte| *byte == b',') {
        let mut parts = choice
            .splitn(2, |byte| *byte == b';')
            .map(<[u8]>::trim_ascii);
        let (coding, weight) = (parts.next().unwrap_or_default(), parts.next());
        let refused = || {
            let weight = weight.and_then(|weight| weight.strip_prefix(b"q="));
            weight.is_some_and(is_zero)
        };
        match coding {
            gzip if gzip.eq_ignore_ascii_case(b"gzip") || gzip.eq_ignore_ascii_case(b"x-gzip") => {
                return !refused();
            }
            b"*" => wildcard = !refused(),
            _ => {}
        }
    }
    wildcard
}

fn is_zero(weight: &[u8]) -> bool {
    let weight = std::str::from_utf8(weight).unwrap_or_default();
    weight.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
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

    #[test]
    fn only_clients_that_admit_gzip_get_it() {
        for yes in [
            "gzip",
            "gzip, deflate",
            "br,gzip,deflate",
            "GZIP;q=0.5",
            "*",
            "br;q=1, *;q=0.1",
        ] {
            assert!(accepts_gzip(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "identity",
            "br, deflate",
            "gzip;q=0",
            "gzip; q=0.0, *",
            "*;q=0",
        ] {
            assert!(!accepts_gzip(no.as_bytes()), "{no}");
        }
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
