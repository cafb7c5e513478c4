//! Chunks, of requests and of answers: no split of the bytes matters, and what is read as a body is
//! read as the same one by Pingora.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use perijove_fuzz::framing::{BadBody, BodyChunk, BodyReader, Framing};
use perijove_fuzz::pingora;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = (usize::from(input.0) + 1, input.1);
    let whole = read(bytes, bytes.len().max(1));
    let split = read(bytes, step);
    // How far a reader gets before it finds a fault depends on what has come.
    assert_eq!(whole.is_ok(), split.is_ok());
    let Ok((body, rest)) = whole else { return };
    assert_eq!(split, Ok((body.clone(), rest.clone())));
    let end = bytes.len() - rest.len();
    let theirs = |bytes: &[u8]| pingora::read(&[HEAD, bytes].concat()).map(|read| read.body);
    assert_eq!(theirs(bytes).as_ref(), Some(&body));
    assert_eq!(theirs(&bytes[..end]).as_ref(), Some(&body));
    assert_eq!(theirs(&bytes[..end - 1]), None, "without the last byte");
});

fn read(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), BadBody> {
    let (mut reader, mut input) = (BodyReader::new(Framing::Chunked), BytesMut::new());
    let (mut body, mut pieces) = (Vec::new(), bytes.chunks(step));
    loop {
        match reader.take(&mut input)? {
            BodyChunk::Data(data) => body.extend_from_slice(&data),
            BodyChunk::End => {
                pieces.for_each(|piece| input.extend_from_slice(piece));
                return Ok((body, input.to_vec()));
            }
            BodyChunk::More => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => {
                    reader.close()?;
                    return Ok((body, Vec::new()));
                }
            },
        }
    }
}
