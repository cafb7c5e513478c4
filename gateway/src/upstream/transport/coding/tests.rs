//! Whatever was packed comes out again, in pieces of bounded size; what is cut or corrupt does not
//! pass for whole.

use bytes::BytesMut;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Reads a body that comes in pieces of `step` bytes and ends with the connection.
fn unpack(coding: Coding, packed: &[u8], step: usize) -> Result<Vec<u8>, BadResponse> {
    let mut body = DecodedBody::new(Framing::UntilClose, Some(coding));
    let (mut input, mut plain) = (BytesMut::new(), Vec::new());
    for piece in packed.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match body.take(&mut input)? {
                BodyChunk::Data(data) => {
                    assert!(!data.is_empty() && data.len() < 4 * PIECE, "{}", data.len());
                    plain.extend_from_slice(&data);
                }
                BodyChunk::More => break,
                BodyChunk::End => panic!("before the connection ended"),
            }
        }
    }
    body.close()?;
    Ok(plain)
}

#[test]
fn nothing_may_follow_a_packed_body_however_it_comes() {
    for plain in ["", "some text"] {
        let packed = [&deflate(plain.as_bytes())[..], b"HTTP/1.1 200 OK"].concat();
        for step in [1, 2, 8, packed.len()] {
            let unpacked = unpack(Coding::Deflate, &packed, step);
            assert_eq!(unpacked, Err(BadResponse::Encoded), "{plain} by {step}");
        }
    }
}

#[test]
fn a_small_bomb_comes_out_in_small_pieces() {
    let zeros = vec![0; 20 << 20];
    for (coding, packed) in [
        (Coding::Gzip, gzip(&zeros)),
        (Coding::Deflate, zlib(&zeros)),
        (Coding::Deflate, deflate(&zeros)),
    ] {
        assert!(packed.len() < 64 * 1024);
        let plain = unpack(coding, &packed, packed.len()).unwrap();
        assert!(plain == zeros, "{coding:?}");
    }
}

#[test]
fn what_is_cut_or_followed_by_more_is_not_whole() {
    let text = b"{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":1}".repeat(50);
    for (coding, packed) in [
        (Coding::Gzip, gzip(&text)),
        (Coding::Deflate, zlib(&text)),
        (Coding::Deflate, deflate(&text)),
    ] {
        assert_eq!(unpack(coding, &packed, 7).as_deref(), Ok(&text[..]));
        for end in 1..packed.len() {
            let cut = unpack(coding, &packed[..end], 7);
            assert!(cut.is_err(), "{coding:?} {end}");
        }
        let longer = [&packed[..], b"garbage that is no gzip"].concat();
        assert!(unpack(coding, &longer, 7).is_err(), "{coding:?}");
    }
    let two = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(
        unpack(Coding::Gzip, &two, 5).as_deref(),
        Ok(&b"one two"[..])
    );
    assert!(unpack(Coding::Gzip, b"plain text", 100).is_err());
    assert_eq!(unpack(Coding::Gzip, b"", 1).as_deref(), Ok(&b""[..]));
}

proptest! {
    #[test]
    fn the_split_of_a_packed_body_does_not_matter(
        plain in prop::collection::vec(any::<u8>(), 1..3000),
        repeat in 1_usize..200,
        step in 1_usize..5000,
    ) {
        let plain = plain.repeat(repeat);
        for (coding, packed) in [
            (Coding::Gzip, gzip(&plain)),
            (Coding::Deflate, zlib(&plain)),
        ] {
            let unpacked = unpack(coding, &packed, step);
            prop_assert!(unpacked.as_ref() == Ok(&plain), "{:?}", unpacked.map(|all| all.len()));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1_usize..50) {
        for coding in [Coding::Gzip, Coding::Deflate] {
            let _unpacked = unpack(coding, &bytes, step);
            let behind_a_head = [&gzip(b"x")[..10], &bytes].concat();
            let _unpacked = unpack(coding, &behind_a_head, step);
        }
    }
}
