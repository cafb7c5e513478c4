//! Reading canonical bytes back, written from the grammar alone.

use super::calls::Json;

/// A call read back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) method: String,
    pub(super) params: Vec<Json>,
    pub(super) config: Option<Vec<(String, Json)>>,
}

/// Reads a whole canonical call; bytes left over are an error.
pub(super) fn call(bytes: &[u8]) -> Decoded {
    let mut rest = bytes;
    assert_eq!(take(&mut rest), b'"');
    let method = text(&mut rest);
    assert_eq!(take(&mut rest), b'[');
    let params = items(&mut rest);
    let config = match take(&mut rest) {
        b'.' => None,
        b'{' => Some(members(&mut rest)),
        other => panic!("no configuration: {other}"),
    };
    assert!(rest.is_empty(), "bytes left over: {rest:?}");
    Decoded {
        method,
        params,
        config,
    }
}

fn take(rest: &mut &[u8]) -> u8 {
    let (first, left) = rest.split_first().unwrap();
    *rest = left;
    *first
}

fn value(first: u8, rest: &mut &[u8]) -> Json {
    match first {
        b'n' => Json::Null,
        b't' => Json::Bool(true),
        b'f' => Json::Bool(false),
        b'"' => Json::Text(text(rest)),
        b'[' => Json::Array(items(rest)),
        b'{' => Json::Object(members(rest)),
        digit => {
            let mut number = char::from(digit).to_string();
            loop {
                match take(rest) {
                    b',' => return Json::Number(number),
                    byte => number.push(char::from(byte)),
                }
            }
        }
    }
}

fn text(rest: &mut &[u8]) -> String {
    let mut length = 0;
    for shift in (0..).step_by(7) {
        let byte = take(rest);
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (text, left) = rest.split_at(length);
    *rest = left;
    String::from_utf8(text.to_vec()).unwrap()
}

fn items(rest: &mut &[u8]) -> Vec<Json> {
    let mut items = Vec::new();
    loop {
        match take(rest) {
            b']' => return items,
            first => items.push(value(first, rest)),
        }
    }
}

fn members(rest: &mut &[u8]) -> Vec<(String, Json)> {
    let mut members = Vec::new();
    loop {
        match take(rest) {
            b'}' => return members,
            b'"' => {
                let key = text(rest);
                let first = take(rest);
                members.push((key, value(first, rest)));
            }
            other => panic!("no key: {other}"),
        }
    }
}
