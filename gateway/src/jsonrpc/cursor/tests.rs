use proptest::prelude::*;

use super::Cursor;

fn whole(text: &str) -> bool {
    let mut cursor = Cursor::new(text.as_bytes());
    cursor.value().is_some() && cursor.at_end()
}

#[test]
fn values_of_every_kind_are_read_whole() {
    for text in [
        "0",
        "-0",
        "10.5e-3",
        "1E+9",
        "true",
        "false",
        "null",
        "\"\"",
        r#""\"\\\/\b\f\n\r\t\u00e9""#,
        r#""\ud83d\ude00""#,
        "[]",
        "{}",
        "[[],{}]",
        r#"{"a":[1,{"b":null}],"c":"}"}"#,
        " [ 1 , 2 ] ",
    ] {
        assert!(whole(text), "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        "01",
        "1.",
        ".5",
        "1e",
        "-",
        "+1",
        "tru",
        "nul",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        r#""\ud83d""#,
        r#""\udc00""#,
        "\"\u{1}\"",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "[1}",
        "{]",
        "1 2",
        "[1] x",
    ] {
        assert!(!whole(text), "{text}");
    }
}

#[test]
fn nesting_is_bounded_and_takes_no_stack() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(whole(&nested(127)));
    assert!(!whole(&nested(200)));
    assert!(!whole(&"[".repeat(1_000_000)));
}

#[test]
fn only_whole_unsigned_numbers_are_unsigned() {
    for (text, expected) in [
        ("0", Some(0)),
        (" 18446744073709551615,", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("1.0", None),
        ("1e3", None),
        ("\"1\"", None),
    ] {
        assert_eq!(Cursor::new(text.as_bytes()).unsigned(), expected, "{text}");
    }
}

#[test]
fn a_string_ends_at_the_right_byte_however_long_it_is() {
    for length in 0..200 {
        let plain = "a".repeat(length);
        for (stop, inside) in [
            ("\"", Some(length)),
            ("\\n\"", Some(length + 2)),
            ("\n\"", None),
        ] {
            let text = format!("\"{plain}{stop} tail \"\n");
            let found = Cursor::new(text.as_bytes()).string().map(<[u8]>::len);
            assert_eq!(found, inside, "{length} {stop:?}");
        }
    }
}

proptest! {
    #[test]
    fn strings_end_where_serde_ends_them(text in "\\PC{0,120}") {
        let quoted = serde_json::to_string(&text).unwrap();
        let padded = format!("{quoted} tail");
        let mut cursor = Cursor::new(padded.as_bytes());
        let inside = cursor.string().unwrap();
        prop_assert_eq!(inside.len() + 2, quoted.len());
    }

    #[test]
    fn no_bytes_make_the_cursor_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
        _ = Cursor::new(&text).value();
    }
}
