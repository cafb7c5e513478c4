//! Calls as trees, to be written as JSON in many ways.

use std::fmt::Write;

use proptest::prelude::*;

/// A value. Numbers are text; an object's members are in the order they are written in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Any value, of few enough different ones that two are often nearly the same.
pub(super) fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        prop_oneof!["[0-9]", "1[0-9]{17,19}", "-?1(\\.5)?(e[+-]?2)?"].prop_map(Json::Number),
        text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            object(inner).prop_map(Json::Object),
        ]
    })
}

/// What looks like the grammar of canonical bytes or of JSON, and anything else.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{0,2}",
        "[\\[\\]{},.\"\\\\ntf0-9\u{0}\u{1}é😀/]{0,4}",
        "x{120,140}",
    ]
}

/// Members with different keys.
fn object(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Vec<(String, Json)>> {
    proptest::collection::vec((text(), value), 0..4).prop_map(|mut members| {
        members.sort_by(|one, other| one.0.cmp(&other.0));
        members.dedup_by(|one, other| one.0 == other.0);
        members
    })
}

/// Writes a value; every bit of `style` that is asked for decides about white space, the order of
/// members or an escape.
pub(super) fn write(value: &Json, style: &mut Style, out: &mut String) {
    style.space(out);
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(text) => out.push_str(text),
        Json::Text(text) => style.text(text, out),
        Json::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, style, out);
            }
            style.space(out);
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            let mut members: Vec<_> = members.iter().collect();
            if style.next() {
                members.reverse();
            }
            if style.next() && members.len() > 2 {
                members.swap(0, 1);
            }
            for (position, (key, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                style.space(out);
                style.text(key, out);
                style.space(out);
                out.push(':');
                write(value, style, out);
            }
            style.space(out);
            out.push('}');
        }
    }
    style.space(out);
}

/// How a value is written: a row of decisions, used again from the front when it ends.
#[derive(Clone, Debug)]
pub(super) struct Style {
    bits: Vec<bool>,
    at: usize,
    /// Whether strings may be written with escapes that are not needed.
    pub(super) escapes: bool,
}

impl Style {
    /// The shortest way.
    pub(super) fn plain() -> Self {
        Self {
            bits: vec![false],
            at: 0,
            escapes: false,
        }
    }

    fn next(&mut self) -> bool {
        self.at += 1;
        self.bits[self.at % self.bits.len()]
    }

    fn space(&mut self, out: &mut String) {
        if self.next() {
            out.push_str(if self.next() { " " } else { "\n\t" });
        }
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            let needed = matches!(character, '"' | '\\' | '\0'..='\x1f');
            if needed || (self.escapes && self.next()) {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").unwrap();
                }
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }
}

pub(super) fn style() -> impl Strategy<Value = Style> {
    (
        proptest::collection::vec(any::<bool>(), 1..40),
        any::<bool>(),
    )
        .prop_map(|(bits, escapes)| Style {
            bits,
            at: 0,
            escapes,
        })
}
