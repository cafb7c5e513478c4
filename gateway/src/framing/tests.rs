//! Bodies in every framing, that the split of the byte stream never matters, and the grammar of
//! chunks as a table.

use proptest::prelude::*;

use super::*;

/// Reads a whole body from pieces; the rest of the input comes back too.
fn collect(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), BadBody> {
    let mut body = BodyReader::new(framing);
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    let mut pieces = pieces.iter();
    loop {
        match body.take(&mut input)? {
            BodyChunk::Data(data) => {
                assert!(!data.is_empty());
                out.extend_from_slice(&data);
            }
            BodyChunk::End => {
                pieces.for_each(|rest| input.extend_from_slice(rest));
                return Ok((out, input.to_vec()));
            }
            BodyChunk::More => {
                let Some(piece) = pieces.next() else {
                    body.close()?;
                    return Ok((out, input.to_vec()));
                };
                input.extend_from_slice(piece);
            }
        }
    }
}

#[test]
fn bodies_end_where_their_framing_says() {
    for (framing, text, expected) in [
        (Framing::Length(5), "helloHTTP", Ok(("hello", "HTTP"))),
        (Framing::Length(0), "HTTP", Ok(("", "HTTP"))),
        (Framing::Length(6), "hello", Err(BadBody::Truncated)),
        (Framing::UntilClose, "hello", Ok(("hello", ""))),
        (
            Framing::Chunked,
            "5\r\nhello\r\n0\r\n\r\nHTTP",
            Ok(("hello", "HTTP")),
        ),
        (
            Framing::Chunked,
            "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx: y\r\n\r\n",
            Ok(("hello", "")),
        ),
        (
            Framing::Chunked,
            "5\r\nhello\r\n0\r\n",
            Err(BadBody::Truncated),
        ),
        (Framing::Chunked, "5\r\nhel", Err(BadBody::Truncated)),
        (Framing::Chunked, "", Err(BadBody::Truncated)),
        (Framing::Chunked, "5\r\nhelloXX", Err(BadBody::Chunk)),
        (Framing::Chunked, "-5\r\nhello\r\n", Err(BadBody::Chunk)),
        (
            Framing::Chunked,
            "fffffffffffffffff\r\n",
            Err(BadBody::Chunk),
        ),
        (Framing::Chunked, "0\r\nbare\n\r\n", Err(BadBody::Chunk)),
    ] {
        let expected =
            expected.map(|(body, rest)| (body.as_bytes().to_vec(), rest.as_bytes().to_vec()));
        let whole = collect(framing, &[text.as_bytes()]);
        assert_eq!(whole, expected, "{framing:?} {text:?}");
    }
}

#[test]
fn endless_chunk_lines_and_trailers_are_refused() {
    let line = format!("5;{}", "x".repeat(chunk::MOST_LINE));
    let result = collect(Framing::Chunked, &[line.as_bytes()]);
    assert_eq!(result, Err(BadBody::Chunk));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(MOST_TRAILERS));
    let result = collect(Framing::Chunked, &[trailers.as_bytes()]);
    assert_eq!(result, Err(BadBody::Chunk));
}

#[test]
fn a_chunks_size_is_digits_and_extensions_by_the_grammar() {
    for (line, size) in [
        ("5", 5),
        ("a", 10),
        ("A", 10),
        ("0005", 5),
        ("0000000000000005", 5),
        ("5;a", 5),
        ("5;a=b", 5),
        ("5 ; a = b\t;c", 5),
        ("5;a=\"b;c \\\" \\\\ \u{fc}\"", 5),
        ("5;a=\"\";b", 5),
        ("ffffffffffffffff", u64::MAX),
    ] {
        let whole = format!("{line}\r\nhello");
        let read = chunk::size(whole.as_bytes());
        assert_eq!(read, Ok(Some((line.len() + 2, size))), "{line:?}");
        for end in 1..line.len() + 2 {
            let read = chunk::size(&whole.as_bytes()[..end]);
            assert_eq!(read, Ok(None), "{:?}", &whole.as_bytes()[..end]);
        }
    }
}

#[test]
fn what_only_a_lenient_reader_takes_for_a_chunk_ends_the_message() {
    for line in [
        "\r\n",
        ";a\r\n",
        " 5\r\n",
        "\t5\r\n",
        "5 \r\n",
        "5\t\r\n",
        "5\n",
        "5\r",
        "5;a\n",
        "5;a\nb\r\n",
        "5;a=\"\n\"\r\n",
        "5;\r\n",
        "5;=a\r\n",
        "5;a=\r\n",
        "5;a b\r\n",
        "5;a=\"b\r\n",
        "5;a=\"b\"c\r\n",
        "5;a=\"\\\r\n",
        "5;a\0\r\n",
        "5;a\r;b\r\n",
        "+5\r\n",
        "-5\r\n",
        "-0\r\n",
        "0x5\r\n",
        "5h\r\n",
        "5,\r\n",
        "5\u{b}\r\n",
        "\u{ff15}\r\n",
        "5\0\r\n",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
        "5.0\r\n",
        "5_0\r\n",
        "\n",
    ] {
        let whole = format!("{line}hello\r\n0\r\n\r\n");
        let read = collect(Framing::Chunked, &[whole.as_bytes()]);
        assert_eq!(read, Err(BadBody::Chunk), "{line:?}");
    }
}

#[test]
fn a_chunk_ends_with_its_line() {
    for end in ["", "\n", "\r", "\r\r\n", "\n\r", " \r\n", "X\r\n"] {
        let whole = format!("5\r\nhello{end}0\r\n\r\n");
        let read = collect(Framing::Chunked, &[whole.as_bytes()]);
        assert_eq!(read, Err(BadBody::Chunk), "{end:?}");
    }
}

#[test]
fn trailers_are_fields() {
    let trailed = |lines: &str| {
        let whole = format!("0\r\n{lines}\r\nnext");
        collect(Framing::Chunked, &[whole.as_bytes()])
    };
    for good in ["", "a: b\r\n", "a:\r\nb: c d\r\n", "content-length: 5\r\n"] {
        assert_eq!(trailed(good), Ok((vec![], b"next".to_vec())), "{good:?}");
    }
    for bad in [
        "a\r\n",
        ": b\r\n",
        "a : b\r\n",
        "a: b\r\n c\r\n",
        " a: b\r\n",
        "a: b\n",
        "a: b\rc: d\r\n",
        "a: \0\r\n",
    ] {
        assert_eq!(trailed(bad), Err(BadBody::Chunk), "{bad:?}");
    }
}

fn cut<'a>(text: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    at.push(0);
    at.push(text.len());
    at.sort_unstable();
    at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn the_split_of_a_body_does_not_matter(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let plain = chunks.concat();
        let mut coded = Vec::new();
        for chunk in &chunks {
            coded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            coded.extend_from_slice(chunk);
            coded.extend_from_slice(b"\r\n");
        }
        coded.extend_from_slice(b"0\r\n\r\nnext");
        let read = collect(Framing::Chunked, &cut(&coded, &cuts));
        prop_assert_eq!(read, Ok((plain.clone(), b"next".to_vec())));

        let mut sized = plain.clone();
        sized.extend_from_slice(b"next");
        let read = collect(Framing::Length(plain.len() as u64), &cut(&sized, &cuts));
        prop_assert_eq!(read, Ok((plain.clone(), b"next".to_vec())));

        let read = collect(Framing::UntilClose, &cut(&plain, &cuts));
        prop_assert_eq!(read, Ok((plain, Vec::new())));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _read = collect(Framing::Chunked, &[&bytes]);
    }
}
